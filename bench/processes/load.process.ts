// The load: the clients of all servers, in a separate process.
import type { Protocol } from '../candidates/candidate.js';
import type { LoadClient } from '../load/client.js';
import { beRefusedAll, closeAll, type Crowd, openAll, openAndCloseAll } from '../load/load-pool.js';
import {
  answerAll,
  echoAtFixedRate,
  echoAtFullSpeed,
  echoInTurn,
  echoOnce,
  type EchoRun,
  exchange,
  type Exchange,
  type LatencyRun,
  received,
} from '../load/traffic.js';
import { answer } from '../../lab/remote.js';

/** Open connections, by the name of their group. */
const groups = new Map<string, { protocol: Protocol; clients: LoadClient[] }>();
let expected: Promise<void> = Promise.resolve();

function groupNamed(name: string): { protocol: Protocol; clients: LoadClient[] } {
  const group = groups.get(name);
  if (!group) throw new Error(`There is no group of connections "${name}"`);
  return group;
}

function stayAwake(): void {
  setImmediate(stayAwake);
}

const methods = {
  /** From now on, the process does not sleep between messages. It needs a core of its own. */
  stayAwake,

  /** Opens connections, in addition to those that the group has. */
  async open(name: string, crowd: Crowd): Promise<void> {
    const clients = await openAll(crowd);
    const { protocol } = crowd;
    groups.set(name, { protocol, clients: [...(groups.get(name)?.clients ?? []), ...clients] });
  },

  async close(name: string): Promise<void> {
    const { clients } = groupNamed(name);
    groups.delete(name);
    await closeAll(clients);
  },

  /** Opens connections that the server is to refuse. Closes those that it accepts. */
  beRefused: (crowd: Crowd): Promise<void> => beRefusedAll(crowd),

  openAndClose: (crowd: Crowd): Promise<void> => openAndCloseAll(crowd),

  echo(
    name: string,
    options: { bytes: number; durationMs: number; window: number; kind?: Exchange },
  ): Promise<EchoRun> {
    const { protocol, clients } = groupNamed(name);
    return echoAtFullSpeed(clients, { protocol, ...options });
  },

  echoInTurn(
    name: string,
    options: { bytes: number; messages: number; inFlight: number },
  ): Promise<EchoRun> {
    const { protocol, clients } = groupNamed(name);
    return echoInTurn(clients, { protocol, ...options });
  },

  echoOnce(name: string, bytes: number): Promise<EchoRun> {
    const { protocol, clients } = groupNamed(name);
    return echoOnce(clients, { protocol, bytes });
  },

  latency(
    name: string,
    options: { bytes: number; perSecond: number; durationMs: number },
  ): Promise<LatencyRun> {
    const { protocol, clients } = groupNamed(name);
    return echoAtFixedRate(clients, { protocol, ...options });
  },

  /** Starts to count messages. Call this before the server sends, and then `received` to wait for them. */
  expect(name: string, messages: number): void {
    expected = received(groupNamed(name).clients, messages);
  },

  received: (): Promise<void> => expected,

  /** Lets the clients answer every question of the server. */
  answerAll: (name: string): void => answerAll(groupNamed(name).clients),

  /** Every client sends a message. Resolves when each has received `each` messages. */
  exchange: (name: string, message: object, each: number): Promise<void> =>
    exchange(groupNamed(name).clients, message, each),

  /** From now on, the clients read slowly. */
  readSlowly(name: string, bytesPerSecond: number): void {
    for (const client of groupNamed(name).clients) client.readSlowly(bytesPerSecond);
  },
};

export type LoadMethods = typeof methods;

answer(methods);
