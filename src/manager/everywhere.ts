import { assertSendable, CloseCode, fitReason } from '../closing/close-codes.js';
import type { ConnectionInfo, Goodbye } from '../cluster/cluster-delivery.js';
import type { ClusterAnswers } from '../history/receipt.js';
import type { WebSocketManager } from './web-socket-manager.js';

/** How `disconnectUser` and `disconnectThread` say goodbye. */
export interface DisconnectOptions {
  /** Default 4401: the client should sign in again before it reconnects. */
  readonly code?: number;
  readonly reason?: string;
}

/** This process, where there is no cluster. */
export const ALONE = 'local';

/** @throws {RangeError} for a code that may not be sent */
export function goodbyeOf(options: DisconnectOptions): Goodbye {
  const { code = CloseCode.UNAUTHORIZED, reason = 'disconnected' } = options;
  assertSendable(code);
  return { code, reason: fitReason(reason) };
}

/** A connection, for other nodes. */
export function describeConnection(
  manager: WebSocketManager,
  nodeId: string,
  now: number,
): ConnectionInfo {
  const { connectionId, userId, threadId } = manager.context;
  const { state, createdAt, lastActivityAt } = manager;
  const idleMs = now - lastActivityAt;
  return { nodeId, connectionId, userId, threadId, state, ageMs: now - createdAt, idleMs };
}

/** How many that were on other nodes. */
export function sumOf(answers: ClusterAnswers<number> | undefined): number {
  let sum = 0;
  for (const number of answers?.answers.values() ?? []) sum += number;
  return sum;
}

/** Whether one of the user's managers is meant. */
export function isAddressed(
  { context }: WebSocketManager,
  target: { readonly threadId?: string | undefined },
): boolean {
  return target.threadId === undefined || context.threadId === target.threadId;
}
