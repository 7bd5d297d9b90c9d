import type { RedisConnection } from './connections.js';
import type { Keys } from './keys.js';
import { isDenied, missingPermissions, permissionWarning } from './permissions.js';
import { evictionWarning } from './server-checks.js';

/** Warns once about faults in the set-up of Redis: rights that its user lacks, a policy that evicts keys. */
export class SetupCheck {
  #isDone = false;
  readonly #saidMissing = new Set<string>();

  /**
   * @param warn gets each warning
   * @param failed gets the errors of Redis that are not reported as a warning
   */
  constructor(
    private readonly keys: Keys,
    private readonly warn: (what: string) => void,
    private readonly failed: (error: unknown) => void,
  ) {}

  /** Checks once. If Redis fails, the next call checks again. */
  async run(connection: RedisConnection): Promise<void> {
    if (this.#isDone) return;
    this.#isDone = true;
    try {
      this.missing(await missingPermissions(connection, this.keys));
      const warning = await evictionWarning(connection);
      if (warning !== undefined) this.warn(warning);
    } catch (error) {
      this.#isDone = false;
      this.failed(error);
    }
  }

  /** Warns about missing rights: once for each right, whichever part of the node finds it first. */
  missing(missing: readonly string[]): void {
    const unsaid = missing.filter((right) => !this.#saidMissing.has(right));
    for (const right of unsaid) this.#saidMissing.add(right);
    if (unsaid.length > 0) this.warn(permissionWarning(unsaid));
  }

  /** Accepts an error about a missing right, which {@link missing} reports. Throws every other error again. */
  tolerate(error: unknown): void {
    if (!isDenied(error)) throw error;
    this.failed(error);
  }
}
