import type { OptionGroups } from '../config/isolation.options.js';
import type { ByteBudget } from '../structures/byte-budget.js';
import type { Clock } from '../time/clock.js';
import type { CloseReason } from '../wire/close-codes.js';
import type { Codecs } from '../wire/codecs.js';
import type { DeliveryResult } from '../wire/delivery-result.js';
import type { AskedManager, Asks, OpenWork } from './asks.js';
import type { CriticalMessage } from './critical-outbox.js';
import type { BusyManager, LatestFrames } from './latest-frames.js';

/** Keeps the topics that managers are in. */
export interface TopicMemberships<Manager = object> {
  join(
    manager: Manager,
    topic: string,
    options: { readonly presence?: unknown } | undefined,
  ): Promise<void>;
  leave(manager: Manager, topic: string): boolean;
  /** Lets a manager leave a topic that its client has not left itself, and tells the client. */
  remove(manager: Manager, topic: string, reason: 'removed'): boolean;
  topicsOf(manager: Manager): Iterable<string>;
  /** The manager is closing. */
  leaveAll(manager: Manager): void;
}

/**
 * Why a message could not be sent: JSON or the codec cannot express it, the client reads too slowly, the socket is not
 * open or has failed, or the operating system did not take it within `outbound.sendTimeoutMs`.
 */
export type UnsentReason = 'unserializable' | 'slow-reader' | 'socket' | 'timeout';

/**
 * Owns the managers of a process and receives their events. One object serves all of them, so that a manager stays
 * small.
 *
 * @typeParam Manager stands for `WebSocketManager`, which imports this file
 */
export interface ManagerOwner<Manager = object> {
  readonly clock: Clock;
  readonly options: Pick<OptionGroups, 'cleanup' | 'outbound'>;
  /** The budget for all bytes that wait for slow readers, over all connections. */
  readonly waiting: ByteBudget;
  /** The messages that wait for room, of which only the newest is kept. */
  readonly latest: LatestFrames<Manager & BusyManager>;
  /** Bytes of the messages that were sent. */
  sentBytes: number;
  /** How many messages could not be sent. */
  readonly unsent: Record<UnsentReason, number>;
  /** The open questions to clients. */
  readonly asks: Asks<Manager & AskedManager>;
  /** `undefined` while the application boots. */
  readonly topics: TopicMemberships<Manager> | undefined;
  /** The codecs of the app; `undefined` without any. */
  readonly codecs: Codecs | undefined;
  /** A codec of the app failed. */
  codecFailed(manager: Manager, error: unknown): void;
  /** There was traffic in either direction. */
  touched(manager: Manager): void;
  /** A socket was bound. */
  attached(manager: Manager): void;
  /** A socket was bound, the first pin was set, or the last pin was removed. */
  rearranged(manager: Manager): void;
  /** A ping was sent. */
  pinged(manager: Manager): void;
  /** A sign of life arrived after a ping. */
  answered(manager: Manager): void;
  /** The pong to a ping of this process arrived. */
  ponged(manager: Manager, roundTripMs: number): void;
  /** Closing began: the manager is no longer among the user's managers, and still holds its slot. */
  closing(manager: Manager, reason: CloseReason): void;
  /** The socket of a closing manager has closed; disposers are next. */
  socketGone(manager: Manager): void;
  /** Another connection needs the slot, so it is released before the disposal has ended. */
  slotGivenUp(manager: Manager): void;
  /** The socket has closed, and all hooks and disposers have ended or were abandoned. */
  disposed(manager: Manager, reason: CloseReason): void;
  /** A disposer or hook failed, or did not end in time. */
  disposalFault(manager: Manager, outcome: 'failed' | 'abandoned', error?: unknown): void;
  /** A hook, handler or disposer did not end in time, and is not waited for any longer. */
  abandoned(manager: Manager, label: string, pending: Promise<unknown>): void;
  /** Records a critical message in the thread's history; `undefined` where there is no history. */
  recordCritical(manager: Manager, frame: string): DeliveryResult | undefined;
  /** The connection ended before these critical messages could be sent. */
  undelivered(manager: Manager, messages: readonly CriticalMessage[]): void;
}

/** The gateway's side of a connection: {@link disconnected} runs before the disposers, {@link released} after them. */
export interface ConnectionHooks {
  /** Path of the gateway: one of a few, known at boot. */
  readonly path: string;
  /** The open streams that handlers have returned. */
  readonly openStreams?: readonly OpenWork[];
  /** A frame arrived on a connection that is not closing. Must not throw. */
  received(frame: Buffer, isBinary: boolean): void;
  /** The client is asked, so its answer has to be read. Must not throw. */
  asked?(): void;
  /** A frame arrived while the connection or its socket was closing. */
  ignored(frame: Buffer): void;
  /** Called by the heartbeat: ends the connection if its identity has expired and no timer has noticed. */
  checkIdentity?(): void;
  /** Closing begins: take no more messages, and keep reading for the peer's close frame. Must not throw. */
  closing(): void;
  /** The socket has closed: waits for handlers, then runs the disconnect hooks. Has its own deadline. */
  disconnected(reason: CloseReason): Promise<void> | undefined;
  /** The disposers have run: disposes of the scope. Has its own deadline. */
  released(reason: CloseReason): Promise<void> | undefined;
}
