import { runOutsideContext } from '../context/running-code.js';
import { Backlog } from '../wire/backlog.js';
import { CloseCode } from '../wire/close-codes.js';
import type { DeliveryResult } from '../wire/delivery-result.js';
import { drained } from '../wire/drained.js';
import { BinaryFrame } from '../wire/binary-frame.js';
import { GatheredWrites, writeHeld } from '../wire/gathered-writes.js';
import { type ManagedSocket, SOCKET_OPEN } from '../wire/managed-socket.js';
import type { HoldingPolicy, LocalPolicy } from '../wire/send-policy.js';
import { type Frame, writeFrame } from '../wire/write-frame.js';
import type { UnsentReason } from './manager-owner.js';
import { ManagerRecord } from './manager-record.js';

const CLOSED_RESULT: DeliveryResult = Object.freeze({ dropped: 'closed' });
const NOT_ATTACHED: DeliveryResult = Object.freeze({ dropped: 'not-attached' });
/** The result where the client reads too slowly. */
export const SLOW_CONSUMER: DeliveryResult = Object.freeze({ dropped: 'slow-consumer' });
/** The result for data that JSON, or the codec of the connection, cannot express. */
export const UNSERIALIZABLE: DeliveryResult = Object.freeze({ dropped: 'unserializable' });
const BY_POLICY: DeliveryResult = Object.freeze({ dropped: 'policy' });

/** Puts frames on the socket of a connection: bounded and counted. Closes a connection whose client reads too slowly. */
export abstract class FrameChannel extends ManagerRecord {
  // Created on first use: a reader that keeps up has none.
  #backlog: Backlog | undefined = undefined;

  /** Bytes that wait for a slow reader. */
  get bufferedBytes(): number {
    return this.attachedSocket?.bufferedAmount ?? 0;
  }

  /** Messages with the policy `'latest'` that wait for room. */
  get latestWaiting(): number {
    return this.owner.latest.countOf(this);
  }

  /** Bytes of memory that waiting messages take. */
  get waitingBytes(): number {
    const { bufferedBytes } = this;
    const buffered = this.#backlog?.weightOf(bufferedBytes) ?? bufferedBytes;
    return buffered + this.owner.latest.bytesOf(this);
  }

  /** @internal Sends an encoded frame. */
  sendFrame(frame: Frame, policy?: LocalPolicy): DeliveryResult {
    const isPulled = policy === 'pulled';
    const held = policy && !isPulled && this.holdFrame(frame, policy);
    if (held) return held;
    const result = this.writeFrame(frame, isPulled);
    if (typeof result === 'string') this.noteSent();
    return result;
  }

  /** @internal The result for a frame that is not written now, because its policy says so. */
  holdFrame(frame: Frame, policy: HoldingPolicy): DeliveryResult | undefined {
    const { latest, options } = this.owner;
    if (!this.mayAct) return undefined;
    const isBusy = this.bufferedBytes > options.outbound.streamLowWaterBytes;
    if (policy === 'drop') return isBusy ? BY_POLICY : undefined;
    if (!isBusy) {
      latest.forget(this, policy.latest);
      return undefined;
    }
    const kept = latest.keep(this, policy.latest, frame);
    if (kept === undefined) return BY_POLICY;
    return this.waits(frame, kept);
  }

  /** @internal Sends a kept message now, because its stream ends. */
  releaseLatest(key: object): void {
    const frame = this.owner.latest.take(this, key);
    if (frame !== undefined) this.sendFrame(frame);
  }

  /** @internal As {@link sendFrame}, but a fan-out calls {@link noteSent} itself afterwards. */
  writeFrame(message: Frame, isPulled = false): DeliveryResult {
    const socket = this.attachedSocket;
    if (!this.isActive) return CLOSED_RESULT;
    if (!socket) return NOT_ATTACHED;
    if (socket.readyState !== SOCKET_OPEN) return CLOSED_RESULT;
    const frame = this.encoded(message, socket);
    if (frame === undefined) return UNSERIALIZABLE;
    if (this.isTooSlowFor(frame, socket) && !isPulled) {
      this.closeSlow();
      return SLOW_CONSUMER;
    }
    try {
      this.owner.sentBytes += writeFrame(socket, frame);
    } catch (error) {
      this.noteUnsent('socket');
      this.socketFailed(error);
      return CLOSED_RESULT;
    }
    if (socket.bufferedAmount === 0) return 'sent';
    return this.waits(frame, 'queued');
  }

  /** @internal Sends a frame before the close frame, while the manager is closing already. */
  sendLast(message: string): void {
    const socket = this.attachedSocket;
    if (!socket || socket.readyState !== SOCKET_OPEN) return;
    const frame = this.encoded(message, socket);
    if (frame === undefined || this.isTooSlowFor(frame, socket)) return;
    this.attempt((open) => {
      this.owner.sentBytes += writeFrame(open, frame);
    }, socket);
  }

  /** @internal Gathers frames that are sent in one turn of the event loop; `undefined` without a socket. */
  gatheredWrites(): GatheredWrites | undefined {
    return this.attachedSocket && new GatheredWrites(this.attachedSocket);
  }

  /** @internal Resolves when the operating system has taken all that waits, or the socket has closed. */
  drained(): Promise<void> {
    const socket = this.attachedSocket;
    return socket ? drained(socket, this.owner.clock) : Promise.resolve();
  }

  /** @internal Counts a sent message. @param now monotonic milliseconds */
  noteSent(now?: number): void {
    this.sentMessages += 1;
    this.touch(now);
  }

  /** @internal Counts a message that could not be sent. */
  noteUnsent(why: UnsentReason): void {
    this.messageFailed();
    this.owner.unsent[why] += 1;
  }

  /** @internal All connections together hold too many waiting bytes, and this one holds one of the largest shares. */
  overload(): void {
    // Without a close handshake: the close frame would wait behind all bytes that the reader has not accepted.
    this.closeSlow({ cut: true });
  }

  /** @internal The frame in the encoding of the connection; `undefined` where its codec fails, which is reported. */
  protected encoded(frame: Frame, socket: ManagedSocket): Frame | undefined {
    const { codecs } = this.owner;
    if (codecs === undefined || frame instanceof BinaryFrame) return frame;
    const codec = codecs.of(socket);
    if (!codec) return frame;
    try {
      // Made for all receivers of the frame, so it belongs to none of them.
      return runOutsideContext((given) => codecs.encode(given, codec), frame);
    } catch (error) {
      this.noteUnsent('unserializable');
      this.owner.codecFailed(this, this.fail(error));
      return undefined;
    }
  }

  /** @internal The result for a frame that waits. Over the budget of the process, this may end the connection. */
  private waits(frame: Frame, result: 'queued' | 'replaced'): DeliveryResult {
    this.owner.waiting.add(this, frame.length);
    return this.isActive ? result : SLOW_CONSUMER;
  }

  /** @internal */
  protected isTooSlowFor(frame: Frame, socket: ManagedSocket): boolean {
    const waiting = socket.bufferedAmount;
    // A reader without a backlog keeps up: a single large message does not make it slow.
    if (waiting === 0) {
      if (this.#backlog) this.#backlog = undefined;
      return false;
    }
    const { maxBufferedBytes } = this.owner.options.outbound;
    this.#backlog ??= new Backlog(waiting);
    if (!this.#backlog.exceeds(maxBufferedBytes, waiting, frame.length)) return false;
    // Frames that are held back, to be written together, say nothing about the reader.
    return !writeHeld(socket) || this.isTooSlowFor(frame, socket);
  }

  /** @internal */
  protected closeSlow({ cut = false } = {}): void {
    this.noteUnsent('slow-reader');
    this.fail('the reader is too slow');
    void this.beginClose(CloseCode.SLOW_CONSUMER, 'slow consumer', 'server', { cut });
  }
}
