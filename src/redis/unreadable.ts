import type { Clock } from '../time/clock.js';

/** How long nothing more is said of one kind. */
const QUIET_MS = 600_000;

/** What came over Redis and could not be read: counted, and of each kind said once in a while. */
export class Unreadable {
  count = 0;
  readonly #saidAt = new Map<string, number>();

  constructor(
    private readonly clock: Clock,
    private readonly warn: (what: string) => void,
  ) {}

  /** @param kind what it was taken for: one of few, never a part of what came */
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
