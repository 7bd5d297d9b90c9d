import { randomFillSync } from 'node:crypto';

// Crockford's base 32: sorts like the number it encodes and has no look-alike letters.
const ALPHABET = Buffer.from('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 'latin1');
const TIME_CHARS = 10; // 50 bits of epoch milliseconds: good beyond the year 30000
const RANDOM_CHARS = 16; // 5 bits each: 80 random bits

export type IdPrefix = 'thread' | 'run' | 'req' | 'conn' | 'ask';

// Random characters are made in bulk: one system call per 256 ids instead of one per id.
const pool = Buffer.allocUnsafe(RANDOM_CHARS * 256);
let poolOffset = pool.length;

function refillPool(): void {
  randomFillSync(pool);
  for (let index = 0; index < pool.length; index += 1) pool[index] = ALPHABET[pool[index]! & 31]!;
  poolOffset = 0;
}

/** A buffer for the ids of one prefix: the prefix is written once, the time only when it changes. */
class Template {
  readonly #bytes: Buffer;
  readonly #timeStart: number;
  #epochMs = -1;

  constructor(prefix: IdPrefix) {
    const start = `${prefix}_`;
    this.#timeStart = start.length;
    this.#bytes = Buffer.alloc(start.length + TIME_CHARS + RANDOM_CHARS, start, 'latin1');
  }

  next(epochMs: number): string {
    if (epochMs !== this.#epochMs) this.#writeTime(epochMs);
    if (poolOffset === pool.length) refillPool();
    const bytes = this.#bytes;
    const randomStart = this.#timeStart + TIME_CHARS;
    for (let index = 0; index < RANDOM_CHARS; index += 1) {
      bytes[randomStart + index] = pool[poolOffset + index]!;
    }
    poolOffset += RANDOM_CHARS;
    // One flat string with one byte per character; concatenation would keep a rope of pieces alive.
    return bytes.toString('latin1');
  }

  #writeTime(epochMs: number): void {
    let time = epochMs;
    for (let index = this.#timeStart + TIME_CHARS - 1; index >= this.#timeStart; index -= 1) {
      this.#bytes[index] = ALPHABET[time % 32]!;
      time = Math.floor(time / 32);
    }
    this.#epochMs = epochMs;
  }
}

const templates: Readonly<Record<IdPrefix, Template>> = {
  thread: new Template('thread'),
  run: new Template('run'),
  req: new Template('req'),
  conn: new Template('conn'),
  ask: new Template('ask'),
};

const THREAD_ID = new RegExp(
  `^thread_[${ALPHABET.toString('latin1')}]{${TIME_CHARS + RANDOM_CHARS}}$`,
);

/** Whether an id has the format of a thread id made by this library. */
export function isMadeThreadId(id: string): boolean {
  return THREAD_ID.test(id);
}

/**
 * Makes an id such as `conn_01JD3Q…`: a prefix, the time, and 80 random bits. Ids made in different milliseconds sort
 * by time. An id cannot be guessed from another id.
 */
export function createId(prefix: IdPrefix, epochMs: number = Date.now()): string {
  return templates[prefix].next(epochMs);
}
