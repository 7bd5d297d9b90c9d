/** Returns numbers in [0, 1). The same seed gives the same numbers. */
export type Random = () => number;

/** Returns a small repeatable generator (mulberry32). It is good enough to choose tabs with. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Returns `count` random members of a list, each at most once. */
export function choose<T>(random: Random, list: readonly T[], count: number): T[] {
  const left = [...list];
  return Array.from(
    { length: count },
    () => left.splice(Math.floor(random() * left.length), 1)[0]!,
  );
}
