import { registerDecorator, type ValidationOptions } from '../validation/class-validator.js';

import { kindOf } from '../errors/value-kind.js';

/** The longest id that is accepted, in characters: long enough for any real id, too short for a payload. */
export const MAX_IDENTIFIER_LENGTH = 256;

// Placeholders that were never replaced by real ids. In production, unrelated users would share such an id.
const WORDS =
  'placeholder|registry|default|temp|none|null|undefined|0|1|xxx|yyy|' +
  'example|test|demo|sample|template|mock|fake|dummy';
const PREFIXES = 'placeholder|registry|default|temp|example|demo|sample|template|mock|fake';
const PLACEHOLDER = new RegExp(`^\\s*(?:${WORDS})\\s*$|^(?:${PREFIXES})_`);
const TEST_PREFIX = /^test_/i;
// A prefix marks a placeholder only in an id shorter than this: a longer id carries entropy of its own.
const PREFIX_RULE_BELOW = 20;
const CONTROL_CHARACTER = /\p{Cc}/u;

/** Returns the rule that a value breaks as an id, or `undefined` for a valid id. */
export function identifierFault(value: unknown): string | undefined {
  if (typeof value !== 'string') return `must be a string, not ${kindOf(value)}`;
  if (value.trim() === '') return 'must not be empty';
  if (value.length > MAX_IDENTIFIER_LENGTH) {
    return `must not be longer than ${MAX_IDENTIFIER_LENGTH} characters`;
  }
  // UTF-8 encodes every lone surrogate as the same bytes: on a disk or a network, two ids would become one.
  if (!value.isWellFormed()) return 'must be well-formed Unicode, without half a surrogate pair';
  if (CONTROL_CHARACTER.test(value)) return 'must not contain control characters';
  if (isPlaceholder(value)) return 'must be a real id, not a placeholder';
  return undefined;
}

function isPlaceholder(value: string): boolean {
  if (value.length >= PREFIX_RULE_BELOW) return false;
  if (PLACEHOLDER.test(value.toLowerCase())) return true;
  return TEST_PREFIX.test(value) && process.env['NODE_ENV'] !== 'test';
}

/**
 * Checks an id that addresses users or connections. Does not check whether a user or connection has this id.
 *
 * @throws {TypeError} for a value that is not a string, or a string with a lone surrogate: it could address other
 * users, or all of them
 */
export function assertIdText(value: unknown, name: string): asserts value is string {
  if (typeof value === 'string' && value.isWellFormed()) return;
  const got = typeof value === 'string' ? 'a string with half a surrogate pair' : typeof value;
  throw new TypeError(`Expected \`${name}\` to be an id (a string), got ${got}.`);
}

/** class-validator decorator: the property must be an id by the rules of {@link identifierFault}. */
export function IsIdentifier(options?: ValidationOptions): PropertyDecorator {
  return (target, propertyKey) => {
    registerDecorator({
      name: 'isIdentifier',
      target: target.constructor,
      propertyName: propertyKey as string,
      ...(options && { options }),
      validator: {
        validate: (value: unknown) => identifierFault(value) === undefined,
        defaultMessage: (args) => identifierFault(args?.value) ?? '',
      },
    });
  };
}
