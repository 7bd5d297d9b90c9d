import { setImmediate as nextTurn } from 'node:timers/promises';

import {
  UserExecutionContext,
  type WebSocketManager,
  type WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';

/** What managers cost, without their sockets. */
export interface Costs {
  readonly managers: number;
  /** Processor time to make one, in microseconds. */
  readonly creationUs: number;
  /** Heap that one holds, in bytes. */
  readonly bytesEach: number;
  /** Processor time of a sweep over all of them that has nothing to remove, in microseconds. */
  readonly idleSweepUs: number;
  /** Processor time to remove one, its disposer included, in microseconds. */
  readonly removalUs: number;
  /** Heap that each of them left behind, in bytes. */
  readonly bytesLeftEach: number;
}

const SWEEPS = 200;
const WARM_UP = 2_000;

/** Makes so many managers, each of a user of its own, sweeps over them, and removes them. */
export async function measureCosts(
  factory: WebSocketManagerFactory,
  managers: number,
): Promise<Costs> {
  await removeAll(factory, await make(factory, WARM_UP));
  const heapBefore = await heap();

  let from = process.cpuUsage();
  let made = await make(factory, managers);
  const creationUs = since(from) / managers;
  const heapFull = await heap();

  from = process.cpuUsage();
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) await factory.cleanupExpired();
  const idleSweepUs = since(from) / SWEEPS;

  from = process.cpuUsage();
  await removeAll(factory, made);
  const removalUs = since(from) / managers;
  made = [];
  const heapAfter = await heap();

  return {
    managers,
    creationUs,
    bytesEach: (heapFull - heapBefore) / managers,
    idleSweepUs,
    removalUs,
    bytesLeftEach: Math.max(0, heapAfter - heapBefore) / managers,
  };
}

async function make(factory: WebSocketManagerFactory, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const context = UserExecutionContext.fromWebSocketRequest({ userId: `user-${index}` });
    const manager: WebSocketManager = await factory.createManager(context);
    manager.onDispose(() => undefined);
    ids.push(context.connectionId);
  }
  return ids;
}

async function removeAll(factory: WebSocketManagerFactory, ids: readonly string[]): Promise<void> {
  await Promise.all(ids.map((id) => factory.cleanupManager(id)));
}

function since(from: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(from);
  return user + system;
}

async function heap(): Promise<number> {
  for (let round = 0; round < 3; round += 1) {
    await nextTurn();
    globalThis.gc!();
  }
  return process.memoryUsage().heapUsed;
}
