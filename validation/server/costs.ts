import { setImmediate as nextTurn } from 'node:timers/promises';

import {
  UserExecutionContext,
  type WebSocketManager,
  type WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';

/** The costs of managers without sockets. */
export interface Costs {
  readonly managers: number;
  /** Processor time to create a manager, in microseconds. */
  readonly creationUs: number;
  /** Heap per manager, in bytes. */
  readonly bytesEach: number;
  /** Processor time of a sweep over all managers that removes nothing, in microseconds. */
  readonly idleSweepUs: number;
  /** Processor time to remove a manager, including its disposer, in microseconds. */
  readonly removalUs: number;
  /** Heap per manager that is still in use after the removal, in bytes. */
  readonly bytesLeftEach: number;
}

const SWEEPS = 200;
const WARM_UP = 2_000;

/** Creates `managers` managers of different users, runs sweeps, and removes the managers. */
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
