// Data from Redis is untrusted input: every program that can write to Redis can write anything, and another version of
// this library may write other shapes. A check inspects a value and copies nothing. Fields that it does not name are
// allowed.

/** Whether a value has a shape. Never throws. */
export type Check<T> = (value: unknown) => value is T;

/** A text of `shortest` to `longest` characters; by default, as long as an id may be. */
export function text(longest = 256, shortest = 1): Check<string> {
  return (value): value is string =>
    typeof value === 'string' && value.length >= shortest && value.length <= longest;
}

/** A whole number from 0 up to `most`. */
export function count(most: number = Number.MAX_SAFE_INTEGER): Check<number> {
  return (value): value is number =>
    typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most;
}

export const isFinite: Check<number> = (value): value is number => Number.isFinite(value);

export const isFlag: Check<boolean> = (value): value is boolean => typeof value === 'boolean';

/** For a field that is checked where it is used. */
export const isAnything: Check<unknown> = (_value): _value is unknown => true;

export const isNothing: Check<null> = (value): value is null => value === null;

/** For a field that must not be there. */
export const isMissing: Check<undefined> = (value): value is undefined => value === undefined;

/** `undefined`, or a value that passes the check. */
export function optional<T>(check: Check<T>): Check<T | undefined> {
  return (value): value is T | undefined => value === undefined || check(value);
}

export function either<One, Other>(one: Check<One>, other: Check<Other>): Check<One | Other> {
  return (value): value is One | Other => one(value) || other(value);
}

/** A list of at most `most` items that pass the check. */
export function list<T>(check: Check<T>, most: number): Check<readonly T[]> {
  return (value): value is readonly T[] =>
    Array.isArray(value) && value.length <= most && value.every(check);
}

/** An object whose own fields pass these checks; a missing field is checked as `undefined`. */
export function record<T extends object>(fields: {
  readonly [Key in keyof T]-?: Check<T[Key]>;
}): Check<T> {
  const checks = Object.entries(fields) as [string, Check<unknown>][];
  return (value): value is T => {
    if (typeof value !== 'object' || value === null) return false;
    for (const [key, check] of checks) {
      const field = Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
      if (!check(field)) return false;
    }
    return true;
  };
}

/** Parses JSON. Returns `undefined` for a text that is not JSON, or whose value does not pass the check. */
export function parse<T>(json: string, check: Check<T>): T | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return check(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
