import { isObservable } from 'rxjs';

import { isThenable } from '../structures/maybe-async.js';

/** Tags of boxed primitives: their value is not kept in properties, but `JSON.stringify` writes it. */
const BOXED: ReadonlySet<string> = new Set(['String', 'Number', 'Boolean']);

/**
 * Names a value that `JSON.stringify` would leave out, or write as `{}` although it has content: a function, a
 * generator, a stream, a Map, a promise that was not awaited, … Returns `undefined` for every value that JSON
 * expresses. Checks only the value itself; nested values are left to `JSON.stringify`.
 */
export function lostInJson(value: unknown): string | undefined {
  if (typeof value !== 'object') return lostPrimitive(value);
  if (value === null) return undefined;
  const prototype: unknown = Object.getPrototypeOf(value);
  // The fast path: nearly every value that is sent is an array or a plain object.
  if (prototype === Array.prototype) return undefined;
  return prototype === Object.prototype || prototype === null ? undefined : lostObject(value);
}

/** As {@link lostInJson}, for a value that was written as `{}`: a plain object may be an async iterable too. */
export function lostInEmpty(value: unknown): string | undefined {
  const isObject = typeof value === 'object' && value !== null;
  return isObject && Symbol.asyncIterator in value ? lostObject(value) : undefined;
}

function lostPrimitive(value: unknown): string | undefined {
  const type = typeof value;
  return type === 'function' || type === 'symbol' || type === 'bigint' ? `a ${type}` : undefined;
}

function lostObject(value: object): string | undefined {
  // The object defines its own JSON: a Date, a Buffer, a URL, a document of a database.
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return undefined;
  if (isThenable(value)) return 'a promise that was not awaited';
  if (isObservable(value)) return 'an Observable inside an object';
  if (Symbol.asyncIterator in value) return `a stream (${nameOf(value)})`;
  if (value instanceof Map || value instanceof Set) return `a ${nameOf(value)}`;
  return hasHiddenContent(value) ? `a ${nameOf(value)}` : undefined;
}

// An instance of a class of the app without properties is really empty. An object of the platform (a generator, an
// Error, a URLSearchParams, an ArrayBuffer) or an iterable object is not.
function hasHiddenContent(value: object): boolean {
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return false;
  if (Object.keys(value).length > 0) return false;
  const tag = Object.prototype.toString.call(value).slice('[object '.length, -1);
  if (BOXED.has(tag)) return false;
  return tag !== 'Object' || Symbol.iterator in value;
}

function nameOf(value: object): string {
  const tag = Object.prototype.toString.call(value).slice('[object '.length, -1);
  const { constructor } = value as { constructor?: { name?: unknown } };
  return tag === 'Object' ? String(constructor?.name ?? tag) : tag;
}
