import type { Clock } from '../time/clock.js';

/** Milliseconds for which further warnings of the same kind are suppressed. */
const QUIET_MS = 600_000;

/** Counts data from Redis that could not be read, and warns of each kind once in a while. */
export class Unreadable {
  count = 0;
  readonly #saidAt = new Map<string, number>();

  constructor(
    private readonly clock: Clock,
    private readonly warn: (what: string) => void,
  ) {}

  /** @param kind what the data should have been: one of a few fixed texts, never a part of the data */
  note(kind: string): void {
    this.count += 1;
    const now = this.clock.now();
    const saidAt = this.#saidAt.get(kind);
    if (saidAt !== undefined && now - saidAt < QUIET_MS) return;
    this.#saidAt.set(kind, now);
    this.warn(
      `Something in Redis could not be read and was ignored (${kind}). ` +
        'Another program writes under the same prefix, or nodes run different versions: ' +
        'give each application its own keyPrefix.',
    );
  }
}
