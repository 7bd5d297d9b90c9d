import type { CloseReason } from '../closing/close-codes.js';
import type { OptionGroups } from '../config/isolation.options.js';
import type { CriticalMessage } from './critical-outbox.js';
import type { DeliveryResult } from './delivery-result.js';
import type { OutboundHost } from './outbound-channel.js';

/**
 * What every manager of a process shares: the time, the options, and whoever wants to know what
 * happens to it. One object for all, so that a manager stays small.
 */
export interface ManagerHost<Manager> extends OutboundHost {
  readonly options: Pick<OptionGroups, 'cleanup' | 'outbound'>;
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
  /** Closing began: no longer among the user's managers, still holding its slot. */
  closing(manager: Manager, reason: CloseReason): void;
  /** The socket of a closing manager is gone; disposers are next. */
  socketGone(manager: Manager): void;
  /** The slot is wanted by somebody else; the disposal goes on without one. */
  slotGivenUp(manager: Manager): void;
  /** The socket is gone and nothing of the connection runs any more: all disposers have ended. */
  disposed(manager: Manager, reason: CloseReason): void;
  /** A disposer or hook failed or did not end in time. */
  disposalFault(manager: Manager, outcome: 'failed' | 'abandoned', error?: unknown): void;
  /** A hook, handler or disposer did not end in time, and is waited for no longer. */
  abandoned(manager: Manager, label: string, pending: Promise<unknown>): void;
  /** Records a critical message in the thread's history, where there is one. */
  recordCritical: ((manager: Manager, frame: string) => DeliveryResult) | undefined;
  /** The connection ended before these critical messages could be sent. */
  undelivered(manager: Manager, messages: readonly CriticalMessage[]): void;
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
