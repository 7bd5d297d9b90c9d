// The server of a candidate, in a separate process.
import { setImmediate as turn } from 'node:timers/promises';

import type { BenchServer, ServerOptions, StartServer } from '../candidates/candidate.js';
import { heapByType, type HeapShare } from '../profile/heap-shares.js';
import { CpuProfiler } from '../profile/cpu-profiler.js';
import { collect } from './collect.js';
import { connectWithoutSockets, echoWithoutSockets } from './without-sockets.js';
import { answer } from '../../lab/remote.js';

let server: BenchServer;
const profiler = new CpuProfiler();

/** Bytes in use after a garbage collection. */
export interface Memory {
  readonly heap: number;
  readonly rss: number;
}

/** Whom a message goes to: all connections of a user, or all members of a topic. */
export type Audience = 'toCrowd' | 'toTopic';

const methods = {
  async start(candidate: string, options: ServerOptions): Promise<number> {
    const { start } = (await import(`../candidates/${candidate}.js`)) as { start: StartServer };
    server = await start(options);
    return server.port;
  },

  /** Returns the processor time of all threads of the process, in microseconds. */
  cpu(): number {
    const { user, system } = process.cpuUsage();
    return user + system;
  },

  async memory(): Promise<Memory> {
    await collect();
    const { heapUsed: heap, rss } = process.memoryUsage();
    return { heap, rss };
  },

  /** Resident memory as it is, without a collection. */
  resident: (): number => process.memoryUsage.rss(),

  async heapByType(): Promise<HeapShare[]> {
    await collect();
    return heapByType();
  },

  startProfile: (): Promise<void> => profiler.start(),
  stopProfile: (): Promise<object> => profiler.stop(),

  echoWithoutSockets: (messages: number): Promise<number> =>
    echoWithoutSockets(server.httpServer, messages),

  connectWithoutSockets: (count: number): Promise<number> =>
    connectWithoutSockets(server.httpServer, count),

  allowPerUser: (connections: number): void => server.allowPerUser?.(connections),

  startPinging: (intervalMs: number): void => server.startPinging?.(intervalMs),

  /** Asks the client of every connection this many times, one after the other. */
  async askAll(each: number): Promise<void> {
    if (!server.askAll) throw new Error('This candidate has no askAll()');
    await server.askAll(each);
  },

  joinTopic: (): Promise<void> | undefined => server.joinTopic?.(),

  async fanOut(audience: Audience, messages: number): Promise<void> {
    if (!server[audience]) throw new Error(`This candidate has no ${audience}()`);
    for (let sent = 0; sent < messages; sent += 1) {
      server[audience]();
      await turn();
    }
  },
};

export type ServerMethods = typeof methods;

answer(methods);
