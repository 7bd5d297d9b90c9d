import { isObservable } from 'rxjs';

import { isThenable } from '../structures/maybe-async.js';

/** What `JSON.stringify` unwraps although it keeps its value elsewhere than in properties. */
const BOXED: ReadonlySet<string> = new Set(['String', 'Number', 'Boolean']);

/**
 * Names what `JSON.stringify` would leave out, or write as `{}` although there is something in it: a function, a
 * generator, a stream, a Map, a promise that nobody has awaited, … `undefined` for everything that JSON expresses. Only
 * the value itself is looked at; what is deeper inside is written as `JSON.stringify` does it.
 */
export function lostInJson(value: unknown): string | undefined {
  if (typeof value !== 'object') return lostPrimitive(value);
  if (value === null) return undefined;
  const prototype: unknown = Object.getPrototypeOf(value);
  // Nearly everything that is ever sent.
  if (prototype === Array.prototype) return undefined;
  return prototype === Object.prototype || prototype === null ? undefined : lostObject(value);
}

/** As {@link lostInJson}, for a value that was written as `{}`: a plain object may be iterable all the same. */
export function lostInEmpty(value: unknown): string | undefined {
  const isObject = typeof value === 'object' && value !== null;
  return isObject && Symbol.asyncIterator in value ? lostObject(value) : undefined;
}

function lostPrimitive(value: unknown): string | undefined {
  const type = typeof value;
  return type === 'function' || type === 'symbol' || type === 'bigint' ? `a ${type}` : undefined;
}

function lostObject(value: object): string | undefined {
  // It says itself what it is in JSON: a Date, a Buffer, a URL, a document of a database.
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return undefined;
  if (isThenable(value)) return 'a promise that was not awaited';
  if (isObservable(value)) return 'an Observable inside of an answer';
  if (Symbol.asyncIterator in value) return `a stream (${nameOf(value)})`;
  if (value instanceof Map || value instanceof Set) return `a ${nameOf(value)}`;
  return hasHiddenContent(value) ? `a ${nameOf(value)}` : undefined;
}

// An object of a class without properties is as empty as it looks; one of the platform (a generator, an Error, a
// URLSearchParams, an ArrayBuffer), or one that can be walked through, is not.
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
