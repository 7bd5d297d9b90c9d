import { types } from 'node:util';

import type { ContextFault } from './context.errors.js';
import { kindOf } from '../errors/value-kind.js';

/** Names of fields of the context itself. Metadata with such a key could be mistaken for the context. */
const RESERVED_KEYS: ReadonlySet<string> = new Set([
  'userId',
  'threadId',
  'runId',
  'requestId',
  'connectionId',
  'createdAt',
  'expiresAt',
  'metadata',
  'operationDepth',
  'parentRequestId',
  'isolationKey',
]);

/** The deepest nesting of objects that is accepted. Deeper data is not the data of an identity. */
const DEEPEST = 64;
/** How many faults are listed. More faults are usually one mistake that repeats. */
const MOST_FAULTS = 10;
const LONGEST_KEY = 64;
const PLAIN_KEY = /^[\p{L}\p{N}_$]+$/u;
const NONE: Metadata = Object.freeze({});

type Metadata = Readonly<Record<string, unknown>>;
type Fields = Record<PropertyKey, unknown>;

/**
 * A frozen copy of objects, arrays and primitive values. A value that cannot be frozen, or would lose something in a
 * copy, becomes a fault that names its place.
 */
export function copyMetadata(given: unknown, faults: ContextFault[]): Metadata {
  if (given === undefined || given === null) return NONE;
  if (typeof given !== 'object' || Array.isArray(given)) {
    faults.push({ field: 'metadata', rule: `must be an object, not ${kindOf(given)}` });
    return NONE;
  }
  const copier = new MetadataCopier();
  const copy = (copier.copy(given) ?? NONE) as Metadata;
  const reserved = Object.keys(copy).filter((key) => RESERVED_KEYS.has(key));
  if (reserved.length > 0) {
    faults.push({ field: 'metadata', rule: `must not carry ${reserved.join(', ')}` });
  }
  faults.push(...copier.faults);
  return copy;
}

class MetadataCopier {
  readonly faults: ContextFault[] = [];
  // The path to the current value. Formatted only for a fault.
  readonly #path: PropertyKey[] = [];
  // An object that occurs twice, perhaps inside itself, is one object in the copy too.
  readonly #copies = new Map<object, object>();

  copy(value: unknown): unknown {
    if (typeof value === 'function' || typeof value === 'symbol') return this.#refuse(value);
    if (typeof value !== 'object' || value === null) return value;
    const known = this.#copies.get(value);
    if (known) return known;
    try {
      if (!isPlain(value)) return this.#refuse(value);
      if (this.#path.length >= DEEPEST) return this.#fault(`must not be deeper than ${DEEPEST}`);
      return this.#copyFields(value);
    } catch {
      return this.#fault('cannot be read: it throws');
    }
  }

  #copyFields(value: object): object {
    const isArray = Array.isArray(value);
    const copy = isArray ? emptyArray(value.length) : {};
    this.#copies.set(value, copy);
    const keys = Object.keys(value);
    // The hidden key `length` of an array does not count.
    const hidden = Reflect.ownKeys(value).length - keys.length - (isArray ? 1 : 0);
    if (hidden > 0) this.#refuseHidden(value, keys);
    for (const key of keys) {
      this.#path.push(key);
      if (!key.isWellFormed()) this.#fault('must have a key that is well-formed Unicode');
      set(copy as Fields, key, this.copy((value as Fields)[key]));
      this.#path.pop();
    }
    return Object.freeze(copy);
  }

  // Symbol keys and properties that are not enumerable would be lost silently.
  #refuseHidden(value: object, seen: readonly string[]): void {
    const known = new Set<PropertyKey>(seen);
    for (const key of Reflect.ownKeys(value)) {
      if (known.has(key) || (Array.isArray(value) && key === 'length')) continue;
      this.#path.push(key);
      this.#fault(`must ${typeof key === 'symbol' ? 'have a string as its key' : 'be enumerable'}`);
      this.#path.pop();
    }
  }

  #refuse(value: unknown): undefined {
    return this.#fault(`must be plain data, not ${kindOf(value)}${insteadOf(value)}`);
  }

  #fault(rule: string): undefined {
    if (this.faults.length >= MOST_FAULTS) return;
    this.faults.push({ field: `metadata${this.#path.map(step).join('')}`, rule });
  }
}

// Objects and arrays of any realm, and nothing else: an instance of a class is more than its fields.
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null;
  if (Array.isArray(value)) return prototype !== null && isRoot(Object.getPrototypeOf(prototype));
  return prototype === null || isRoot(prototype);
}

function isRoot(prototype: object | null): boolean {
  if (prototype === Object.prototype) return true;
  const isLast = prototype !== null && Object.getPrototypeOf(prototype) === null;
  return isLast && Object.hasOwn(prototype, 'isPrototypeOf');
}

// The copy keeps the holes of the given array.
function emptyArray(length: number): object {
  const array: unknown[] = [];
  array.length = length;
  return array;
}

// An assignment to `__proto__` would change the prototype of the copy.
function set(copy: Fields, key: string, value: unknown): void {
  if (key !== '__proto__') copy[key] = value;
  else Object.defineProperty(copy, key, { value, enumerable: true });
}

function insteadOf(value: unknown): string {
  if (types.isSet(value) || types.isTypedArray(value)) return ': give an array';
  if (types.isMap(value)) return ': give an object, for example by Object.fromEntries()';
  if (types.isDate(value)) return ': give its epoch milliseconds or toISOString()';
  return typeof value === 'object' ? ': give an object with the fields you need' : '';
}

function step(key: PropertyKey): string {
  if (typeof key === 'symbol') return `[${String(key).slice(0, LONGEST_KEY)}]`;
  const name = String(key).slice(0, LONGEST_KEY);
  if (/^\d+$/.test(name)) return `[${name}]`;
  return PLAIN_KEY.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`;
}
