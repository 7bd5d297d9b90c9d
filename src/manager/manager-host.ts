import type { Clock } from '../clock/clock.js';
import type { CloseReason } from '../closing/close-codes.js';
import type { OptionGroups } from '../config/isolation.options.js';
import type { ByteBudget } from './byte-budget.js';
import type { CriticalMessage } from './critical-outbox.js';
import type { DeliveryResult } from './delivery-result.js';
import type { WebSocketManager } from './web-socket-manager.js';

/**
 * What every manager of a process shares: the time, the options, and whoever wants to know what
 * happens to it. One object for all, so that a manager stays small.
 */
export interface ManagerHost {
  readonly clock: Clock;
  readonly options: Pick<OptionGroups, 'cleanup' | 'outbound'>;
  /** Over what waits for the readers of all connections. */
  readonly waiting: ByteBudget;
  /** Traffic went either way. */
  touched(manager: WebSocketManager): void;
  /** A socket was bound. */
  attached(manager: WebSocketManager): void;
  /** A socket was bound, or the pins went from none to some or back. */
  rearranged(manager: WebSocketManager): void;
  /** A ping was sent. */
  pinged(manager: WebSocketManager): void;
  /** A sign of life came after a ping. */
  answered(manager: WebSocketManager): void;
  /** The pong of a ping of ours came. */
  ponged(manager: WebSocketManager, roundTripMs: number): void;
  /** Closing began: no longer among the user's managers, still holding its slot. */
  closing(manager: WebSocketManager, reason: CloseReason): void;
  /** The socket of a closing manager is gone; disposers are next. */
  socketGone(manager: WebSocketManager): void;
  /** The slot is wanted by somebody else; the disposal goes on without one. */
  slotGivenUp(manager: WebSocketManager): void;
  /** The socket is gone and nothing of the connection runs any more: all disposers have ended. */
  disposed(manager: WebSocketManager, reason: CloseReason): void;
  /** A disposer or hook failed or did not end in time. */
  disposalFault(manager: WebSocketManager, outcome: 'failed' | 'abandoned', error?: unknown): void;
  /** A hook, handler or disposer did not end in time, and is waited for no longer. */
  abandoned(manager: WebSocketManager, label: string, pending: Promise<unknown>): void;
  /** Records a critical message in the thread's history, where there is one. */
  recordCritical: ((manager: WebSocketManager, frame: string) => DeliveryResult) | undefined;
  /** The connection ended before these critical messages could be sent. */
  undelivered(manager: WebSocketManager, messages: readonly CriticalMessage[]): void;
}

/** What runs above a manager and has to be wound up before its disposers. Set by the gateway. */
export interface ConnectionHooks {
  /** Of the gateway: one of a few, known at boot. */
  readonly path: string;
  /** A frame came in on a connection that is not closing. Must not throw. */
  received(frame: Buffer): void;
  /** A frame came in on a connection that is closing, or whose socket is. */
  ignored(frame: Buffer): void;
  /** From time to time: ends a connection whose identity has expired unnoticed. */
  checkIdentity?(): void;
  /** Closing begins: take no more messages, read on for the peer's goodbye. Must not throw. */
  closing(): void;
  /** The socket is gone: let handlers end and run the disconnect hooks. Bounded by itself. */
  disconnected(reason: CloseReason): Promise<void> | undefined;
  /** The disposers have run: take down the scope. Bounded by itself. */
  released(reason: CloseReason): Promise<void> | undefined;
}
