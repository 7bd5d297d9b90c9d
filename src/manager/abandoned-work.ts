/** A hook, handler or disposer of a connection that did not end within its time. */
export interface AbandonedStep {
  readonly connectionId: string;
  readonly threadId: string;
  readonly isolationKey: string;
  /** What it is: `handleDisconnect`, `message handlers`, `dispose DraftStore`, … */
  readonly label: string;
  /** Monotonic milliseconds at which it was given up. */
  readonly abandonedAt: number;
  /** The stack that made its manager, with `leaks.captureCreationSite`. */
  readonly creationSite: string | undefined;
}

/** Steps that are listed one by one; further ones are only counted. */
const MAX_LISTED = 256;

/**
 * What was given up and has not ended yet. It may still hold memory, locks and sockets, so it is remembered until it
 * ends, by name and without the connection itself.
 */
export class AbandonedWork {
  readonly #listed = new Set<AbandonedStep>();
  #unsettled = 0;

  /** How many steps have not ended yet, listed or not. */
  get size(): number {
    return this.#unsettled;
  }

  /** Those that are listed, the oldest first. */
  get steps(): readonly AbandonedStep[] {
    return [...this.#listed];
  }

  /** Remembers a step until it ends. */
  add(step: AbandonedStep, pending: PromiseLike<unknown>): void {
    this.#unsettled += 1;
    if (this.#listed.size >= MAX_LISTED) {
      pending.then(this.#ended, this.#ended);
      return;
    }
    this.#listed.add(step);
    const ended = (): void => {
      this.#listed.delete(step);
      this.#ended();
    };
    pending.then(ended, ended);
  }

  // One function for all that are only counted.
  readonly #ended = (): void => {
    this.#unsettled -= 1;
  };
}
