import { errorText } from '../errors/error-text.js';
import { afterSilence } from '../time/silence.js';
import { Backlog } from '../wire/backlog.js';
import { CloseCode } from '../wire/close-codes.js';
import { encodeFrame, type Frame, whyNoFrame } from '../wire/frame-encoding.js';
import { drained } from '../wire/drained.js';
import type { DeliveryResult } from '../wire/delivery-result.js';
import { type ManagedSocket, SOCKET_OPEN } from '../wire/managed-socket.js';
import { writeText } from '../wire/write-text.js';
import { type CriticalMessage, CriticalOutbox } from './critical-outbox.js';
import { ManagerRecord } from './manager-record.js';
import { ManagerClosedError, SendFailedError, SendTimeoutError } from './manager.errors.js';

const CLOSED_RESULT: DeliveryResult = Object.freeze({ dropped: 'closed' });
const NOT_ATTACHED: DeliveryResult = Object.freeze({ dropped: 'not-attached' });
const SLOW_CONSUMER: DeliveryResult = Object.freeze({ dropped: 'slow-consumer' });
const UNSERIALIZABLE: DeliveryResult = Object.freeze({ dropped: 'unserializable' });

/** The sending half of a manager: bounded and counted. `send` reports failures in its result instead of throwing. */
export abstract class OutboundChannel extends ManagerRecord {
  // Created on first use: most connections send no critical messages.
  #outbox: CriticalOutbox | undefined = undefined;
  #backlog: Backlog | undefined = undefined;

  /** @internal Whether the connect hooks have run. */
  protected abstract get isOpened(): boolean;

  /** Number of critical messages that wait to be sent. */
  get recoveryQueueSize(): number {
    return this.#outbox?.size ?? 0;
  }

  /** Bytes that wait for a slow reader. */
  get bufferedBytes(): number {
    return this.attachedSocket?.bufferedAmount ?? 0;
  }

  /**
   * Sends `{"event", "data"}` without waiting. The result reports what happened to the message.
   *
   * @throws {TypeError} for an event that is not a string, and for nothing else
   */
  send(event: string, data?: unknown): DeliveryResult {
    if (!this.isActive) return CLOSED_RESULT;
    const frame = encodeFrame(event, data);
    return frame === undefined ? this.#unserializable(event, data) : this.sendFrame(frame);
  }

  /** @internal Sends an encoded frame. */
  sendFrame(frame: Frame): DeliveryResult {
    const result = this.writeFrame(frame);
    if (typeof result === 'string') this.noteSent();
    return result;
  }

  /** @internal As {@link sendFrame}, but a fan-out calls {@link noteSent} itself afterwards. */
  writeFrame(frame: Frame): DeliveryResult {
    const socket = this.attachedSocket;
    if (!this.isActive) return CLOSED_RESULT;
    if (!socket) return NOT_ATTACHED;
    if (socket.readyState !== SOCKET_OPEN) return CLOSED_RESULT;
    if (this.#isTooSlowFor(frame, socket)) {
      this.#closeSlow();
      return SLOW_CONSUMER;
    }
    try {
      writeText(socket, frame);
    } catch (error) {
      this.counters.failed += 1;
      this.socketFailed(error);
      return CLOSED_RESULT;
    }
    if (socket.bufferedAmount === 0) return 'sent';
    this.owner.waiting.add(this, frame.length);
    return 'queued';
  }

  /** @internal Resolves when the operating system has taken all that waits, or the socket has closed. */
  drained(): Promise<void> {
    const socket = this.attachedSocket;
    return socket ? drained(socket, this.owner.clock) : Promise.resolve();
  }

  /** @internal Sends a frame before the close frame, while the manager is closing already. */
  sendLast(frame: string): void {
    const socket = this.attachedSocket;
    if (!socket || socket.readyState !== SOCKET_OPEN || this.#isTooSlowFor(frame, socket)) return;
    this.attempt((open) => writeText(open, frame), socket);
  }

  /** @internal Counts a sent message. @param now monotonic milliseconds */
  noteSent(now?: number): void {
    this.counters.sent += 1;
    this.touch(now);
  }

  /**
   * Sends a message. Resolves when the operating system has accepted it.
   *
   * @throws {ManagerClosedError} on a closed manager
   * @throws {SendTimeoutError} after `outbound.sendTimeoutMs`
   * @throws {SendFailedError} when the data is not JSON, the reader is too slow, or the socket fails
   */
  sendAsync(event: string, data?: unknown): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.isActive) throw new ManagerClosedError('sendAsync');
      const frame = encodeFrame(event, data);
      const socket = this.attachedSocket;
      if (frame === undefined) throw this.#unserializableFailure(data);
      if (!socket || socket.readyState !== SOCKET_OPEN) throw this.#failure('no open socket');
      if (this.#isTooSlowFor(frame, socket)) {
        this.#closeSlow();
        throw new SendFailedError('the reader is too slow');
      }
      const { clock, options } = this.owner;
      const { sendTimeoutMs } = options.outbound;
      const release = afterSilence(clock, sendTimeoutMs, () => {
        this.counters.failed += 1;
        reject(this.fail(new SendTimeoutError(sendTimeoutMs)));
      });
      const written = (error?: Error | null): void => {
        release();
        if (error) reject(this.#failure('the socket failed', error));
        else resolve();
      };
      try {
        writeText(socket, frame, written);
      } catch (error) {
        written(asError(error));
        this.socketFailed(error);
        return;
      }
      if (socket.bufferedAmount > 0) this.owner.waiting.add(this, frame.length);
      this.noteSent();
    });
  }

  /**
   * Sends a message that must not be lost silently. Messages are sent in order, retried with back-off, and kept while
   * they cannot be sent. With `resume` on, the message is recorded in the thread's history, where a client that resumes
   * finds it. Without `resume`, messages that are still unsent when the connection ends are reported.
   *
   * @throws {ManagerClosedError} on a closed manager
   * @throws {SendFailedError} when the data is not JSON, or a thousand messages wait already
   */
  emitCritical(event: string, data?: unknown): DeliveryResult {
    if (!this.isActive) throw new ManagerClosedError('emitCritical');
    const frame = encodeFrame(event, data);
    if (frame === undefined) throw this.#unserializableFailure(data);
    return this.owner.recordCritical(this, frame) ?? this.emitCriticalFrame(event, frame);
  }

  /** @internal As {@link emitCritical}, for an encoded frame that belongs to no thread. */
  emitCriticalFrame(event: string, frame: string): DeliveryResult {
    this.#outbox ??= new CriticalOutbox(
      (delayMs, callback) => this.owner.clock.after(delayMs, callback),
      (message) => this.#sendCritical(message),
    );
    if (this.#outbox.isFull) throw this.#failure('too many critical messages wait already');
    this.#outbox.add({ event, frame, attempts: 0 });
    if (this.#outbox.size === 0) return this.bufferedBytes === 0 ? 'sent' : 'queued';
    this.owner.waiting.add(this, frame.length);
    return 'queued';
  }

  /** @internal Sends the critical messages that had to wait. */
  protected flushCritical(): void {
    this.#outbox?.flush();
  }

  /** @internal Stops the retries, and reports the unsent messages. */
  protected closeOutbox(): void {
    const left = this.#outbox?.close() ?? [];
    this.#outbox = undefined;
    if (left.length > 0) this.owner.undelivered(this, left);
  }

  #isTooSlowFor(frame: Frame, socket: ManagedSocket): boolean {
    const waiting = socket.bufferedAmount;
    // A reader without a backlog keeps up: a single large message does not make it slow.
    if (waiting === 0) {
      if (this.#backlog) this.#backlog = undefined;
      return false;
    }
    const { maxBufferedBytes } = this.owner.options.outbound;
    return (this.#backlog ??= new Backlog()).exceeds(maxBufferedBytes, waiting, frame.length);
  }

  /** Bytes of memory that waiting messages take. */
  get waitingBytes(): number {
    const { bufferedBytes } = this;
    return (this.#backlog?.weightOf(bufferedBytes) ?? bufferedBytes) + (this.#outbox?.bytes ?? 0);
  }

  /** @internal All connections together hold too many waiting bytes, and this one holds one of the largest shares. */
  overload(): void {
    // Without a close handshake: the close frame would wait behind all bytes that the reader has not accepted.
    this.#closeSlow({ cut: true });
  }

  #closeSlow({ cut = false } = {}): void {
    this.counters.failed += 1;
    this.fail('the reader is too slow');
    void this.beginClose(CloseCode.SLOW_CONSUMER, 'slow consumer', 'server', { cut });
  }

  #sendCritical(message: CriticalMessage): boolean {
    const socket = this.attachedSocket;
    if (!this.isOpened || !socket || socket.readyState !== SOCKET_OPEN) return false;
    if (this.#isTooSlowFor(message.frame, socket)) return false;
    try {
      writeText(socket, message.frame, (error) => {
        if (!error) return;
        if (this.#outbox) this.#outbox.putBack(message);
        else this.owner.undelivered(this, [message]);
      });
    } catch (error) {
      this.socketFailed(error);
      return false;
    }
    if (socket.bufferedAmount > 0) this.owner.waiting.add(this, message.frame.length);
    this.noteSent();
    return true;
  }

  #unserializableFailure(data: unknown): SendFailedError {
    const why = whyNoFrame({ data });
    return this.#failure(`the data cannot be written as JSON (${why.message})`, why);
  }

  #unserializable(event: string, data: unknown): DeliveryResult {
    this.counters.failed += 1;
    const { message } = whyNoFrame({ data });
    this.fail(`the data of "${event.slice(0, 64)}" cannot be written as JSON (${message})`);
    return UNSERIALIZABLE;
  }

  #failure(reason: string, cause?: Error): SendFailedError {
    this.counters.failed += 1;
    return this.fail(new SendFailedError(reason, cause && { cause }));
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(errorText(error));
}
