import type { AnyContract } from '../contract/contract.js';
import type { CallArgs, EventOf, NoContract, SentArgs } from '../contract/message-types.js';
import { errorText } from '../errors/error-text.js';
import { afterSilence } from '../time/silence.js';
import { BINARY_KEY, BinaryFrame } from '../wire/binary-frame.js';
import { encodeFrame, whyNoFrame } from '../wire/frame-encoding.js';
import type { DeliveryResult } from '../wire/delivery-result.js';
import { SOCKET_OPEN } from '../wire/managed-socket.js';
import { framePolicy, type SendOptions } from '../wire/send-policy.js';
import { writeFrame } from '../wire/write-frame.js';
import { type CriticalMessage, CriticalOutbox } from './critical-outbox.js';
import { FrameChannel, SLOW_CONSUMER, UNSERIALIZABLE } from './frame-channel.js';
import type { UnsentReason } from './manager-owner.js';
import { ManagerClosedError, SendFailedError, SendTimeoutError } from './manager.errors.js';

const CLOSED_RESULT: DeliveryResult = Object.freeze({ dropped: 'closed' });
const TOO_MANY_CRITICAL = 'too many critical messages wait already';

/** The messages that a manager sends. `send` reports failures in its result instead of throwing. */
export abstract class OutboundChannel<C extends AnyContract = NoContract> extends FrameChannel {
  // Created on first use: most connections send no critical messages.
  #outbox: CriticalOutbox | undefined = undefined;

  /** @internal Whether the connect hooks have run. */
  protected abstract get isOpened(): boolean;

  /** Number of critical messages that wait to be sent. */
  get recoveryQueueSize(): number {
    return this.#outbox?.size ?? 0;
  }

  /**
   * Sends `{"event", "data"}` without waiting. The result reports what happened to the message.
   *
   * @example `manager.send('position', { x, y }, { policy: 'latest' })`
   * @throws {TypeError} for an event that is not a string or a policy that does not exist, and for nothing else
   */
  send<Event extends EventOf<C['server']>>(
    event: Event,
    ...sent: CallArgs<C['server'], Event, SendOptions>
  ): DeliveryResult;
  send(event: string, data?: unknown, options?: SendOptions): DeliveryResult {
    if (!this.isActive) return CLOSED_RESULT;
    const frame = encodeFrame(event, data);
    if (frame === undefined) return this.unserializable(event, data);
    return options === undefined
      ? this.sendFrame(frame)
      : this.sendFrame(frame, framePolicy(options, event));
  }

  /**
   * Sends bytes as a binary frame, without waiting, also on a connection with a codec. Bounded and counted as messages
   * are. The bytes are copied, so they may change afterwards.
   *
   * @param options with `'latest'`, one binary frame is kept: the newest
   * @throws {TypeError} for a value that is no `Uint8Array` or `ArrayBuffer` or a policy that does not exist
   */
  sendBinary(bytes: Uint8Array | ArrayBuffer, options?: SendOptions): DeliveryResult {
    const policy = framePolicy(options, BINARY_KEY);
    const frame = BinaryFrame.of(bytes);
    return this.isActive ? this.sendFrame(frame, policy) : CLOSED_RESULT;
  }

  /** Bytes of memory that waiting messages take. */
  override get waitingBytes(): number {
    return super.waitingBytes + (this.#outbox?.bytes ?? 0);
  }

  /**
   * Sends a message. Resolves when the operating system has accepted it.
   *
   * @throws {ManagerClosedError} on a closed manager
   * @throws {SendTimeoutError} after `outbound.sendTimeoutMs`
   * @throws {SendFailedError} when the data is not JSON, the reader is too slow, or the socket fails
   */
  sendAsync<Event extends EventOf<C['server']>>(
    event: Event,
    ...sent: SentArgs<C['server'], Event>
  ): Promise<void>;
  sendAsync(event: string, data?: unknown): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.isActive) throw new ManagerClosedError('sendAsync');
      const message = encodeFrame(event, data);
      const socket = this.attachedSocket;
      if (message === undefined) throw this.unserializableFailure(data);
      if (!socket || socket.readyState !== SOCKET_OPEN)
        throw this.failure('socket', 'no open socket');
      const frame = this.encoded(message, socket);
      if (frame === undefined) throw new SendFailedError('the codec has failed');
      if (this.isTooSlowFor(frame, socket)) {
        this.closeSlow();
        throw new SendFailedError('the reader is too slow');
      }
      const { clock, options } = this.owner;
      const { sendTimeoutMs } = options.outbound;
      const release = afterSilence(clock, sendTimeoutMs, () => {
        this.noteUnsent('timeout');
        reject(this.fail(new SendTimeoutError(sendTimeoutMs)));
      });
      const written = (error?: Error | null): void => {
        release();
        if (error) reject(this.failure('socket', 'the socket failed', error));
        else resolve();
      };
      try {
        this.owner.sentBytes += writeFrame(socket, frame, written);
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
  emitCritical<Event extends EventOf<C['server']>>(
    event: Event,
    ...sent: SentArgs<C['server'], Event>
  ): DeliveryResult;
  emitCritical(event: string, data?: unknown): DeliveryResult {
    if (!this.isActive) throw new ManagerClosedError('emitCritical');
    const frame = encodeFrame(event, data);
    if (frame === undefined) throw this.unserializableFailure(data);
    const result = this.owner.recordCritical(this, frame) ?? this.emitCriticalFrame(event, frame);
    if (typeof result === 'string') return result;
    if (result === SLOW_CONSUMER) throw new SendFailedError(TOO_MANY_CRITICAL);
    throw new ManagerClosedError('emitCritical');
  }

  /**
   * @internal As {@link emitCritical}, for an encoded frame that belongs to no thread. Reports a failure in its result,
   * so that the message still goes to other connections.
   */
  emitCriticalFrame(event: string, frame: string): DeliveryResult {
    // Ended by the budget of the process, perhaps, when another connection was written to.
    if (!this.isActive) return CLOSED_RESULT;
    this.#outbox ??= new CriticalOutbox(
      (delayMs, callback) => this.owner.clock.after(delayMs, callback),
      (message) => this.sendCritical(message),
    );
    if (this.#outbox.isFull) {
      this.noteUnsent('slow-reader');
      this.fail(TOO_MANY_CRITICAL);
      return SLOW_CONSUMER;
    }
    // From here on, a message that cannot be sent before the connection ends is reported by `undelivered`.
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

  /** @internal */
  private sendCritical(message: CriticalMessage): boolean {
    const socket = this.attachedSocket;
    if (!this.isOpened || !socket || socket.readyState !== SOCKET_OPEN) return false;
    const frame = this.encoded(message.frame, socket);
    // Another attempt would fail as well: reported, and counted as sent so that the others are not held up.
    if (frame === undefined) return true;
    if (this.isTooSlowFor(frame, socket)) return false;
    try {
      this.owner.sentBytes += writeFrame(socket, frame, (error) => {
        if (!error) return;
        if (this.#outbox) this.#outbox.putBack(message);
        else this.owner.undelivered(this, [message]);
      });
    } catch (error) {
      this.socketFailed(error);
      return false;
    }
    if (socket.bufferedAmount > 0) this.owner.waiting.add(this, frame.length);
    this.noteSent();
    return true;
  }

  /** @internal */
  private unserializableFailure(data: unknown): SendFailedError {
    const why = whyNoFrame({ data });
    const reason = `the data cannot be written as JSON (${why.message})`;
    return this.failure('unserializable', reason, why);
  }

  /** @internal */
  private unserializable(event: string, data: unknown): DeliveryResult {
    this.noteUnsent('unserializable');
    const { message } = whyNoFrame({ data });
    this.fail(`the data of "${event.slice(0, 64)}" cannot be written as JSON (${message})`);
    return UNSERIALIZABLE;
  }

  /** @internal */
  private failure(why: UnsentReason, reason: string, cause?: Error): SendFailedError {
    this.noteUnsent(why);
    return this.fail(new SendFailedError(reason, cause && { cause }));
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(errorText(error));
}
