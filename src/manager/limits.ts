import type { LimitsOptions } from '../config/option-groups.js';

/** The limits in force. They may be changed at run time, so everybody reads them here. */
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
   * Sets those that are named, from now on.
   *
   * @throws {TypeError} for a name that no limit has
   * @throws {RangeError} for anything but whole numbers from 1 up
   */
  change(limits: { maxManagersPerUser?: number; maxManagers?: number }): void {
    assertLimits(limits);
    this.maxManagersPerUser = limits.maxManagersPerUser ?? this.maxManagersPerUser;
    this.maxManagers = limits.maxManagers ?? this.maxManagers;
  }

  /** From so many managers on a user is crowded: 12 of 20. */
  get crowdedFrom(): number {
    return Math.max(1, Math.floor(this.maxManagersPerUser * this.#proactiveThreshold));
  }

  /** From so many managers on a user is in an emergency: 80 %, 16 of 20. */
  get criticalFrom(): number {
    return Math.max(1, Math.ceil(this.maxManagersPerUser * 0.8));
  }

  /** From so many managers on the process is in an emergency: 90 %. */
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
