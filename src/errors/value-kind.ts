import { types } from 'node:util';

/** What a value is, for an error message: `a Set`, `NaN`, `an object of class Session`. Never the value itself. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined || Number.isNaN(value)) return String(value);
  if (typeof value !== 'object') return `a ${typeof value}`;
  if (Array.isArray(value)) return 'an array';
  if (types.isDate(value)) return Number.isNaN(epochMsOf(value)) ? 'an invalid Date' : 'a Date';
  if (types.isSet(value)) return 'a Set';
  return types.isMap(value) ? 'a Map' : `an object${classOf(value)}`;
}

/** The instant of a date; of a subclass too, whatever it makes of its methods. */
export function epochMsOf(date: Date): number {
  return Date.prototype.getTime.call(date);
}

// A class, not a field called `constructor`, and not what a name may hold that somebody sent.
function classOf(value: object): string {
  try {
    const { constructor } = Object.getPrototypeOf(value) as { constructor?: { name?: unknown } };
    const name = constructor?.name;
    return typeof name === 'string' && name !== 'Object' ? ` of class ${name.slice(0, 64)}` : '';
  } catch {
    return '';
  }
}
