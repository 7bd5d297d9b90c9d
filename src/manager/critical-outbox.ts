import { pauseAfter } from '../time/back-off.js';
import type { Release } from '../time/clock.js';

/** A message of `emitCritical` that is not sent yet. */
export interface CriticalMessage {
  readonly event: string;
  readonly frame: string;
  attempts: number;
}

/** Most critical messages that may wait for one connection: a bound against a client that never reads. */
export const MAX_WAITING = 1_000;
const BACK_OFF = { firstMs: 100, longestMs: 2_000 };

/** The critical messages of one connection that wait to be sent, in order. An empty outbox has no timer. */
export class CriticalOutbox {
  readonly #waiting: CriticalMessage[] = [];
  #retry: Release | undefined;

  constructor(
    private readonly schedule: (delayMs: number, callback: () => void) => Release,
    /** Tries to send; returns false when the message has to wait. */
    private readonly attempt: (message: CriticalMessage) => boolean,
  ) {}

  get size(): number {
    return this.#waiting.length;
  }

  /** UTF-16 code units of the waiting frames: about their size in bytes. */
  get bytes(): number {
    return this.#waiting.reduce((sum, { frame }) => sum + frame.length, 0);
  }

  get isFull(): boolean {
    return this.#waiting.length >= MAX_WAITING;
  }

  add(message: CriticalMessage): void {
    this.#waiting.push(message);
    this.flush();
  }

  /** Puts a message whose write failed back to the front. */
  putBack(message: CriticalMessage): void {
    this.#waiting.unshift(message);
    this.#retryLater(message);
  }

  /** Sends messages in order until one has to wait; then schedules a retry. */
  flush(): void {
    this.#stopRetry();
    while (this.#waiting.length > 0) {
      // Taken out before it is sent: its bytes are then those of the socket, and a listener of what the attempt causes
      // may add a message, which would send it a second time.
      const message = this.#waiting.shift()!;
      message.attempts += 1;
      if (this.attempt(message)) continue;
      this.#waiting.unshift(message);
      this.#retryLater(message);
      return;
    }
  }

  /** Stops the retries and returns the unsent messages. */
  close(): readonly CriticalMessage[] {
    this.#stopRetry();
    return this.#waiting.splice(0);
  }

  #retryLater({ attempts }: CriticalMessage): void {
    if (this.#retry) return;
    this.#retry = this.schedule(pauseAfter(attempts, BACK_OFF), () => {
      this.#retry = undefined;
      this.flush();
    });
  }

  #stopRetry(): void {
    this.#retry?.();
    this.#retry = undefined;
  }
}
