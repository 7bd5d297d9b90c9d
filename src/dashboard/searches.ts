import { ServiceUnavailableException } from '@nestjs/common';

/** Searches that may wait for their turn. */
const MAX_WAITING = 50;
/** Items that a search checks before it yields to the event loop. */
export const CHUNK = 2_000;

/** Runs one search at a time, however many are requested. */
export class Searches {
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  /** @throws {ServiceUnavailableException} when too many searches wait already */
  async run<T>(search: () => Promise<T>): Promise<T> {
    if (this.#waiting >= MAX_WAITING) {
      throw new ServiceUnavailableException(
        'Too many searches are waiting. Try again in a moment.',
      );
    }
    this.#waiting += 1;
    const result = this.#last.then(search).finally(() => (this.#waiting -= 1));
    this.#last = result.catch(() => undefined);
    return result;
  }
}

/** Matches a part of a text, case-insensitive. Every character of the part is taken literally. */
export function patternOf(part: string): RegExp {
  return new RegExp(part.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'), 'i');
}
