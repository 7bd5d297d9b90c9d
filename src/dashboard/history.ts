import type { Clock } from '../time/clock.js';
import type { TrafficCounters } from '../connection/traffic-counters.js';
import type { GatewayRuntime } from '../gateway/gateway-runtime.js';
import type { ManagerRegistry } from '../manager/manager-registry.js';
import type { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import { ProcessMeter } from './process-meter.js';

/** Milliseconds between two samples. */
export const SAMPLE_MS = 5_000;
/** Milliseconds that the charts cover. */
export const HISTORY_MS = 15 * 60_000;
const MAX_SAMPLES = HISTORY_MS / SAMPLE_MS;
/** After a longer pause than this, a sample has no rates: nothing was recorded in between. */
const LONGEST_STEP_MS = SAMPLE_MS * 2.5;

/** The load at one moment. Rates are per second since the previous sample; `null` if there is none. */
export interface LoadSample {
  /** Epoch milliseconds. */
  readonly at: number;
  readonly connections: number;
  readonly users: number;
  readonly opened: number | null;
  readonly closed: number | null;
  readonly refused: number | null;
  /** How many were refused since the previous sample, by reason. Reasons without any are left out. */
  readonly refusedBy: Readonly<Record<string, number>>;
  /** The same for messages that were not handled. */
  readonly ignoredBy: Readonly<Record<string, number>>;
  readonly messages: number | null;
  /** Messages whose handler has failed. */
  readonly failed: number | null;
  /** Share of the time in which the event loop was busy, 0 to 1. */
  readonly busy: number | null;
  /** Processor time used, in cores. */
  readonly cpu: number | null;
  readonly memoryBytes: number;
}

/** The counters at a sample; rates are computed from their differences. */
interface Totals {
  readonly now: number;
  readonly opened: number;
  readonly closed: number;
  readonly refused: number;
  readonly refusals: ReadonlyMap<string, number>;
  readonly messages: number;
  readonly failed: number;
  readonly ignored: ReadonlyMap<string, number>;
}

/**
 * The samples of the last 15 minutes in which it was recorded. A sample costs the same for any number of connections.
 */
export class History {
  readonly #samples: LoadSample[] = [];
  readonly #meter = new ProcessMeter();
  #previous: Totals | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly registry: ManagerRegistry,
    private readonly runtime: GatewayRuntime,
    private readonly traffic: TrafficCounters,
    private readonly factory: WebSocketManagerFactory,
  ) {}

  /** The samples after a moment, oldest first. */
  since(epochMs: number): LoadSample[] {
    const first = this.#samples.findIndex(({ at }) => at > epochMs);
    return first === -1 ? [] : this.#samples.slice(first);
  }

  take(): void {
    const totals = this.#totals();
    const elapsedMs = totals.now - (this.#previous?.now ?? -Infinity);
    const before = elapsedMs <= LONGEST_STEP_MS ? this.#previous : undefined;
    const rate = (name: Exclude<keyof Totals, 'now' | 'refusals' | 'ignored'>): number | null =>
      before && elapsedMs > 0
        ? (Math.max(0, totals[name] - before[name]) * 1000) / elapsedMs
        : null;
    const { busy, cpu, memoryBytes } = this.#meter.read();
    this.#previous = totals;
    this.#samples.push({
      at: this.clock.epoch(),
      connections: this.registry.size,
      users: this.registry.userCount,
      opened: rate('opened'),
      closed: rate('closed'),
      refused: rate('refused'),
      refusedBy: before ? grown(before.refusals, totals.refusals) : {},
      ignoredBy: before ? grown(before.ignored, totals.ignored) : {},
      messages: rate('messages'),
      failed: rate('failed'),
      busy: before ? busy : null,
      cpu: before ? cpu : null,
      memoryBytes,
    });
    if (this.#samples.length > MAX_SAMPLES) this.#samples.shift();
  }

  #totals(): Totals {
    const { registry, factory } = this;
    // An arrival that is refused at a limit has had a manager for a moment, but never a socket.
    const { connections: opened } = factory.counters;
    const refusals = new Map<string, number>(this.runtime.refusals);
    let refused = 0;
    for (const count of refusals.values()) refused += count;
    return {
      now: this.clock.now(),
      opened,
      closed: opened - (registry.size - registry.unattached.size),
      refused,
      refusals,
      messages: this.traffic.received,
      failed: this.traffic.failed,
      ignored: new Map(Object.entries(this.traffic.unhandled)),
    };
  }
}

function grown(
  before: ReadonlyMap<string, number>,
  now: ReadonlyMap<string, number>,
): Record<string, number> {
  const steps = [...now].map(([key, count]) => [key, count - (before.get(key) ?? 0)] as const);
  return Object.fromEntries(steps.filter(([, step]) => step > 0));
}
