import { randomFillSync } from 'node:crypto';

// Crockford's base 32: sorts like the number it encodes and has no look-alike letters.
const ALPHABET = Buffer.from('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 'latin1');
const TIME_CHARS = 10; // 50 bits of epoch milliseconds: good beyond the year 30000
const RANDOM_CHARS = 16; // 5 bits each: 80 random bits

// Random bytes are drawn in bulk: one system call per 256 ids instead of one per id.
const pool = Buffer.allocUnsafe(RANDOM_CHARS * 256);
let poolOffset = pool.length;

const scratch = Buffer.allocUnsafe(64);

export type IdPrefix = 'thread' | 'run' | 'req' | 'conn';

/**
 * Makes an id such as `conn_01JD3Q…`: a prefix, the time, and 80 random bits. Ids made in different
 * milliseconds sort by time; nobody can guess one from another.
 */
export function createId(prefix: IdPrefix, epochMs: number = Date.now()): string {
  if (poolOffset === pool.length) {
    randomFillSync(pool);
    poolOffset = 0;
  }
  const start = scratch.write(prefix, 'latin1');
  scratch[start] = 0x5f; // _
  const timeStart = start + 1;
  let time = epochMs;
  for (let index = timeStart + TIME_CHARS - 1; index >= timeStart; index -= 1) {
    scratch[index] = ALPHABET[time % 32]!;
    time = Math.floor(time / 32);
  }
  const randomStart = timeStart + TIME_CHARS;
  for (let index = 0; index < RANDOM_CHARS; index += 1) {
    scratch[randomStart + index] = ALPHABET[pool[poolOffset + index]! & 31]!;
  }
  poolOffset += RANDOM_CHARS;
  // One flat string of one byte per character; joining characters would keep a rope of pieces alive.
  return scratch.toString('latin1', 0, randomStart + RANDOM_CHARS);
}
