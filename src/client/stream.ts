import type { Call, Cancel } from './calls.js';
import { ClientError } from './client.error.js';

/** Options of `client.stream()`. */
export interface StreamOptions {
  /** Ends the stream: the iteration throws the reason of the signal, and the server is told to cancel. */
  readonly signal?: AbortSignal;
}

interface Taker<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(error: unknown): void;
}

/**
 * The items with which a handler replies. Nothing is sent before the first item is asked for. The end of the iteration
 * (`break`, `return`, an error) tells the server to cancel.
 */
export class ItemStream<T> implements AsyncIterableIterator<T, undefined> {
  readonly #items: { readonly value: T; readonly size: number }[] = [];
  readonly #takers: Taker<T>[] = [];
  #size = 0;
  #cancel: Cancel | undefined;
  /** How it ends, once the items are taken. */
  #end: { readonly error?: unknown } | undefined;

  constructor(
    private readonly start: (call: Call) => Cancel,
    private readonly event: string,
    private readonly bound: number,
    private readonly signal: AbortSignal | undefined,
  ) {}

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    return new Promise((resolve, reject) => {
      this.#start();
      this.#takers.push({ resolve, reject });
      this.#hand();
    });
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#stop({});
    return Promise.resolve({ done: true, value: undefined });
  }

  #start(): void {
    if (this.#cancel || this.#end) return;
    if (this.signal?.aborted) return this.#stop({ error: this.signal.reason });
    this.#cancel = this.start({
      kind: 'stream',
      value: (item) => this.#add(item as T),
      end: (error) => this.#over(error ? { error } : {}),
    });
    this.signal?.addEventListener('abort', this.#aborted);
  }

  readonly #aborted = (): void => this.#stop({ error: this.signal?.reason });

  #add(value: T): void {
    const size = JSON.stringify(value)?.length ?? 0;
    this.#items.push({ value, size });
    this.#size += size;
    this.#hand();
    if (this.#size <= this.bound) return;
    const text = `More than ${this.bound} characters of "${this.event}" wait for the app.`;
    this.#stop({ error: new ClientError('STREAM_OVERFLOW', text) });
  }

  // Gives the stream up, with what has arrived.
  #stop(end: { readonly error?: unknown }): void {
    this.#items.length = 0;
    this.#cancel?.();
    this.#over(end);
  }

  #over(end: { readonly error?: unknown }): void {
    this.#end ??= end;
    this.signal?.removeEventListener('abort', this.#aborted);
    this.#hand();
  }

  #hand(): void {
    while (this.#takers.length > 0 && (this.#items.length > 0 || this.#end)) {
      const item = this.#items.shift();
      const taker = this.#takers.shift()!;
      if (item) {
        this.#size -= item.size;
        taker.resolve({ done: false, value: item.value });
      } else if (this.#end && 'error' in this.#end) {
        taker.reject(this.#end.error);
        // The error is thrown once.
        this.#end = {};
      } else taker.resolve({ done: true, value: undefined });
    }
  }
}
