import type { LimitsOptions } from '../config/option-groups.js';

/** The current limits. {@link change} may change them at run time, so other classes read them here and keep no copy. */
export class Limits {
  maxManagersPerUser: number;
  maxManagers: number;
  readonly overflow: LimitsOptions['overflow'];
  readonly #proactiveThreshold: number;

  constructor(options: LimitsOptions) {
    this.maxManagersPerUser = options.maxManagersPerUser;
    this.maxManagers = options.maxManagers;
    this.overflow = options.overflow;
    this.#proactiveThreshold = options.proactiveThreshold;
  }

  /**
   * Changes the limits that are given, and keeps the others.
   *
   * @throws {TypeError} for an unknown limit name
   * @throws {RangeError} for a value that is not a whole number from 1 up
   */
  change(limits: { maxManagersPerUser?: number; maxManagers?: number }): void {
    assertLimits(limits);
    this.maxManagersPerUser = limits.maxManagersPerUser ?? this.maxManagersPerUser;
    this.maxManagers = limits.maxManagers ?? this.maxManagers;
  }

  /** Number of managers from which a user is crowded: by default 12 of 20. */
  get crowdedFrom(): number {
    return Math.max(1, Math.floor(this.maxManagersPerUser * this.#proactiveThreshold));
  }

  /** Number of managers from which a user is in an emergency: 80 % of the limit, 16 of 20. */
  get criticalFrom(): number {
    return Math.max(1, Math.ceil(this.maxManagersPerUser * 0.8));
  }

  /** Number of managers from which the process is in an emergency: 90 % of its limit. */
  get processCriticalFrom(): number {
    return Math.max(1, Math.ceil(this.maxManagers * 0.9));
  }
}

const NAMES: readonly string[] = ['maxManagersPerUser', 'maxManagers'];

function assertLimits(limits: object): void {
  if (typeof limits !== 'object' || limits === null) {
    throw new TypeError('Expected the limits to change, for example { maxManagersPerUser: 5 }.');
  }
  for (const [name, value] of Object.entries(limits) as [string, unknown][]) {
    if (!NAMES.includes(name)) {
      throw new TypeError(`There is no limit \`${name}\`. There are: ${NAMES.join(', ')}.`);
    }
    if (!Number.isInteger(value) || (value as number) < 1) {
      throw new RangeError(
        `Expected \`${name}\` to be a whole number from 1 up, got \`${String(value)}\``,
      );
    }
  }
}
