import type { OptionGroups } from '../config/isolation.options.js';
import type { ByteBudget } from '../structures/byte-budget.js';
import type { Clock } from '../time/clock.js';
import type { CloseReason } from '../wire/close-codes.js';
import type { DeliveryResult } from '../wire/delivery-result.js';
import type { CriticalMessage } from './critical-outbox.js';

/**
 * Owns the managers of a process, and is told what happens to each. One object for all of them, so that a manager stays
 * small.
 *
 * @typeParam Manager stands for `WebSocketManager`, which imports this file
 */
export interface ManagerOwner<Manager = object> {
  readonly clock: Clock;
  readonly options: Pick<OptionGroups, 'cleanup' | 'outbound'>;
  /** Over what waits for the readers of all connections. */
  readonly waiting: ByteBudget;
  /** Traffic went either way. */
  touched(manager: Manager): void;
  /** A socket was bound. */
  attached(manager: Manager): void;
  /** A socket was bound, or the pins went from none to some or back. */
  rearranged(manager: Manager): void;
  /** A ping was sent. */
  pinged(manager: Manager): void;
  /** A sign of life came after a ping. */
  answered(manager: Manager): void;
  /** The pong of a ping of ours came. */
  ponged(manager: Manager, roundTripMs: number): void;
  /** Closing began: the manager is no longer among the user's managers, and still holds its slot. */
  closing(manager: Manager, reason: CloseReason): void;
  /** The socket of a closing manager is gone; disposers are next. */
  socketGone(manager: Manager): void;
  /** Another connection needs the slot; the disposal goes on without one. */
  slotGivenUp(manager: Manager): void;
  /** The socket is gone and no code of the connection runs any more: all disposers have ended. */
  disposed(manager: Manager, reason: CloseReason): void;
  /** A disposer or hook failed or did not end in time. */
  disposalFault(manager: Manager, outcome: 'failed' | 'abandoned', error?: unknown): void;
  /** A hook, handler or disposer did not end in time, and is waited for no longer. */
  abandoned(manager: Manager, label: string, pending: Promise<unknown>): void;
  /** Records a critical message in the thread's history; `undefined` where there is no history. */
  recordCritical(manager: Manager, frame: string): DeliveryResult | undefined;
  /** The connection ended before these critical messages could be sent. */
  undelivered(manager: Manager, messages: readonly CriticalMessage[]): void;
}

/** The gateway's side of a connection, which has to be wound up before its disposers run. */
export interface ConnectionHooks {
  /** Of the gateway: one of a few, known at boot. */
  readonly path: string;
  /** A frame came in on a connection that is not closing. Must not throw. */
  received(frame: Buffer): void;
  /** A frame came in on a connection that is closing, or whose socket is. */
  ignored(frame: Buffer): void;
  /** From time to time: ends a connection whose identity has expired unnoticed. */
  checkIdentity?(): void;
  /** Closing begins: take no more messages, and read on for the close frame of the peer. Must not throw. */
  closing(): void;
  /** The socket is gone: let handlers end and run the disconnect hooks. Bounded by itself. */
  disconnected(reason: CloseReason): Promise<void> | undefined;
  /** The disposers have run: take down the scope. Bounded by itself. */
  released(reason: CloseReason): Promise<void> | undefined;
}
