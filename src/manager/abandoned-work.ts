/** A hook, handler or disposer of a connection that did not end in time. */
export interface AbandonedStep {
  readonly connectionId: string;
  readonly threadId: string;
  readonly isolationKey: string;
  /** Name of the step: `handleDisconnect`, `message handlers`, `dispose DraftStore`, … */
  readonly label: string;
  /** Monotonic milliseconds at which it was abandoned. */
  readonly abandonedAt: number;
  /** The stack that created its manager, with `leaks.captureCreationSite`. */
  readonly creationSite: string | undefined;
}

/** Most steps that are listed one by one; further ones are only counted. */
const MAX_LISTED = 256;

/**
 * Abandoned steps that have not ended yet. A step may still hold memory, locks and sockets, so its name and ids are
 * kept until it ends, without the connection itself.
 */
export class AbandonedWork {
  readonly #listed = new Set<AbandonedStep>();
  #unsettled = 0;

  /** How many steps have not ended yet, listed or not. */
  get size(): number {
    return this.#unsettled;
  }

  /** The listed steps, the oldest first. */
  get steps(): readonly AbandonedStep[] {
    return [...this.#listed];
  }

  /** Keeps a step until it ends. */
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

  // One shared function for all steps that are only counted.
  readonly #ended = (): void => {
    this.#unsettled -= 1;
  };
}
