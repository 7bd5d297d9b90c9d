import type { IncomingMessage } from 'node:http';

import { registerDecorator, type ValidationOptions } from 'class-validator';

/**
 * Which origins may connect. The function gets the Origin header, `undefined` where there is none; only `true`
 * admits. A promise is awaited within `handshake.timeoutMs`; a function that throws refuses.
 */
export type OriginPolicy =
  | 'same-origin'
  | '*'
  | readonly string[]
  | ((origin: string | undefined, request: IncomingMessage) => boolean | Promise<boolean>);

/** class-validator decorator: an {@link OriginPolicy}. */
export const IsOriginPolicy = (options: ValidationOptions): PropertyDecorator =>
  rule('isOriginPolicy', options, (value) =>
    Array.isArray(value)
      ? value.length > 0 && value.every(isExactOrigin)
      : value === 'same-origin' || value === '*' || typeof value === 'function',
  );

/** class-validator decorator: an array of non-empty strings. */
export const IsStringList = (options: ValidationOptions): PropertyDecorator =>
  rule(
    'isStringList',
    options,
    (value) =>
      Array.isArray(value) && value.every((item) => typeof item === 'string' && item !== ''),
  );

// `https://app.example.com`, as browsers send it: no path, no trailing slash, no wildcard.
function isExactOrigin(value: unknown): boolean {
  return typeof value === 'string' && URL.canParse(value) && new URL(value).origin === value;
}

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
