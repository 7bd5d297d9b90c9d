import { types } from 'node:util';

/** The kind of a value, for an error message: `a Set`, `NaN`, `an object of class Session`. Never the value itself. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined || Number.isNaN(value)) return String(value);
  if (typeof value !== 'object') return `a ${typeof value}`;
  if (Array.isArray(value)) return 'an array';
  if (types.isDate(value)) return Number.isNaN(epochMsOf(value)) ? 'an invalid Date' : 'a Date';
  if (types.isSet(value)) return 'a Set';
  return types.isMap(value) ? 'a Map' : `an object${classOf(value)}`;
}

/** Epoch milliseconds of a date. A subclass that overrides `getTime()` cannot change the result. */
export function epochMsOf(date: Date): number {
  return Date.prototype.getTime.call(date);
}

// Read from the prototype: an own field called `constructor` is ignored, and so is a name that is not a string.
function classOf(value: object): string {
  try {
    const { constructor } = Object.getPrototypeOf(value) as { constructor?: { name?: unknown } };
    const name = constructor?.name;
    return typeof name === 'string' && name !== 'Object' ? ` of class ${name.slice(0, 64)}` : '';
  } catch {
    return '';
  }
}
