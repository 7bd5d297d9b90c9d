import { failure, type Report } from './client.error.js';

/** Takes back what was registered. A second call does nothing. */
export type Off = () => void;

/** Functions of the app. One that fails is reported, and disturbs neither the others nor the client. */
export class Listeners<Args extends readonly unknown[]> {
  readonly #added = new Set<{ readonly fn: (...args: Args) => unknown }>();

  constructor(private readonly report: Report) {}

  get size(): number {
    return this.#added.size;
  }

  /** A function that is added twice is called twice. */
  add(fn: (...args: Args) => unknown): Off {
    const entry = { fn };
    this.#added.add(entry);
    return () => void this.#added.delete(entry);
  }

  tell(...args: Args): void {
    for (const { fn } of Array.from(this.#added)) void contain(() => fn(...args), this.report);
  }
}

/** Calls a function of the app, at once. What it throws, and what its promise is rejected with, is reported. */
export async function contain(call: () => unknown, report: Report): Promise<void> {
  try {
    await call();
  } catch (error) {
    report(failure('LISTENER_FAILED', 'A listener failed', error));
  }
}
