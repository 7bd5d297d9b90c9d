import type { IncomingMessage } from 'node:http';

import {
  IsBoolean,
  IsIn,
  IsInt,
  Max,
  Min,
  registerDecorator,
  type ValidationOptions,
} from '../validation/class-validator.js';

import { trustProxyFault } from '../address/trusted-proxies.js';
import { originFault } from './exact-origin.js';

/**
 * Which origins may connect. A function gets the Origin header, or `undefined` where the request has none; only `true`
 * admits. A promise is awaited within `handshake.timeoutMs`. Where the function throws, the request is refused.
 */
export type OriginPolicy =
  | 'same-origin'
  | '*'
  | readonly string[]
  | ((origin: string | undefined, request: IncomingMessage) => boolean | Promise<boolean>);

/** The longest duration: a hundred years, which means never. A longer one is a mistake in the unit. */
const LONGEST_MS = 3_155_760_000_000;
/** `ws` keeps the size of the largest message in 32 bits, and takes a larger value for no limit. */
export const LARGEST_FRAME_BYTES = 2 ** 31 - 1;

/** class-validator decorator: true or false. */
export const flag = (): PropertyDecorator => IsBoolean({ message: 'must be true or false' });

/** class-validator decorator: one of the given strings. */
export const oneOf = (...values: string[]): PropertyDecorator =>
  IsIn(values, { message: `must be one of ${values.map((value) => `'${value}'`).join(', ')}` });

/** class-validator decorator: a whole number of milliseconds. 0, where it is allowed, means never. */
export const millisecondsFrom = (least: 0 | 1): PropertyDecorator =>
  wholeNumber('milliseconds', least, LONGEST_MS, {
    least: least === 0 ? 'must be at least 1 ms, or 0 for never' : 'must be at least 1 ms',
    most: `must not exceed ${LONGEST_MS} ms, a hundred years`,
  });

/** class-validator decorator: a whole number from 1. */
export const atLeastOne = (): PropertyDecorator =>
  wholeNumber(undefined, 1, Number.MAX_SAFE_INTEGER, { least: 'must be at least 1' });

/** class-validator decorator: a whole number of bytes from 1. */
export const bytes = (most: number = Number.MAX_SAFE_INTEGER): PropertyDecorator =>
  wholeNumber('bytes', 1, most, { least: 'must be at least 1 byte' });

function wholeNumber(
  unit: string | undefined,
  least: number,
  most: number,
  rules: { readonly least: string; readonly most?: string },
): PropertyDecorator {
  return (target, key) => {
    IsInt({ message: `must be a whole number${unit === undefined ? '' : ` of ${unit}`}` })(
      target,
      key,
    );
    Min(least, { message: rules.least })(target, key);
    Max(most, { message: rules.most ?? `must not exceed ${most}` })(target, key);
  };
}

/** class-validator decorator: an {@link OriginPolicy}. */
export const IsOriginPolicy = (): PropertyDecorator =>
  rule(
    'isOriginPolicy',
    { message: ({ value }) => originPolicyFault(value) ?? '' },
    (value) => originPolicyFault(value) === undefined,
  );

function originPolicyFault(value: unknown): string | undefined {
  if (value === 'same-origin' || value === '*' || typeof value === 'function') return undefined;
  const kinds = "must be 'same-origin', '*', a list of exact origins or a function";
  if (!Array.isArray(value)) return kinds;
  if (value.length === 0) return `${kinds}; the list is empty`;
  const faults = value.flatMap((entry: unknown, index) => {
    const fault = originFault(entry);
    return fault === undefined ? [] : [`entry ${index + 1}: ${fault}`];
  });
  return faults.length === 0 ? undefined : `${kinds}; ${faults.join('; ')}`;
}

/** class-validator decorator: a `trustProxy`. */
export const IsTrustProxy = (): PropertyDecorator =>
  rule(
    'isTrustProxy',
    { message: ({ value }) => trustProxyFault(value) ?? '' },
    (value) => trustProxyFault(value) === undefined,
  );

/** class-validator decorator: an object of options of which at least one is set. */
export const NamesSome = (message: string): PropertyDecorator =>
  rule('namesSome', { message }, (value) =>
    Object.values(value ?? {}).some((part) => part !== undefined),
  );

/** class-validator decorator: a provider class or a function. */
export const IsFunction = (): PropertyDecorator =>
  rule(
    'isFunction',
    { message: 'must be a provider class or a function' },
    (value) => typeof value === 'function',
  );

/** class-validator decorator: an array of non-empty strings. */
export const IsStringList = (options: ValidationOptions): PropertyDecorator =>
  rule(
    'isStringList',
    options,
    (value) =>
      Array.isArray(value) && value.every((item) => typeof item === 'string' && item !== ''),
  );

function rule(
  name: string,
  options: ValidationOptions,
  validate: (value: unknown) => boolean,
): PropertyDecorator {
  return (target, propertyKey) => {
    registerDecorator({
      name,
      options,
      target: target.constructor,
      propertyName: propertyKey as string,
      validator: { validate },
    });
  };
}
