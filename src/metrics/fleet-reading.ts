import type { Limits } from '../manager/limits.js';
import type { ManagerRegistry } from '../manager/manager-registry.js';
import type { MetricValue } from './metric-value.js';

const STATES = ['connecting', 'ready', 'draining', 'closing'] as const;

/** Path of a manager that the app has made itself, without a gateway. */
const NO_GATEWAY = 'none';

/** The numbers from one pass over all connections and all users. */
export class FleetReading {
  /** Connections by path and state; zero where there are none. */
  readonly connections: readonly MetricValue[];
  readonly usersCrowded: number;
  readonly usersAtLimit: number;
  readonly sent: number;
  /** Bytes that wait for slow readers. */
  readonly bufferedBytes: number;
  /** Most bytes that wait for one slow reader. */
  readonly mostBufferedBytes: number;
  /** Streams and observables that handlers have returned, and that are open. */
  readonly openStreams: number;

  constructor(registry: ManagerRegistry, limits: Limits, paths: readonly string[]) {
    this.sent = registry.sent;
    const counts = new Map<string, Record<string, number>>();
    for (const path of paths) counts.set(path, zeros());
    let bufferedBytes = 0;
    let mostBufferedBytes = 0;
    let openStreams = 0;
    for (const manager of registry.all()) {
      const path = manager.hooks?.path ?? NO_GATEWAY;
      let states = counts.get(path);
      if (!states) counts.set(path, (states = zeros()));
      states[manager.state]! += 1;
      bufferedBytes += manager.bufferedBytes;
      openStreams += manager.openStreams.length;
      mostBufferedBytes = Math.max(mostBufferedBytes, manager.bufferedBytes);
    }
    this.connections = [...counts].flatMap(([path, states]) =>
      Object.entries(states).map(([state, value]) => ({ labels: { path, state }, value })),
    );
    this.bufferedBytes = bufferedBytes;
    this.mostBufferedBytes = mostBufferedBytes;
    this.openStreams = openStreams;
    let usersCrowded = 0;
    let usersAtLimit = 0;
    for (const { held } of registry.users()) {
      if (held >= limits.crowdedFrom) usersCrowded += 1;
      if (held >= limits.maxManagersPerUser) usersAtLimit += 1;
    }
    this.usersCrowded = usersCrowded;
    this.usersAtLimit = usersAtLimit;
  }
}

function zeros(): Record<string, number> {
  return Object.fromEntries(STATES.map((state) => [state, 0]));
}
