import { registerDecorator, type ValidationOptions } from 'class-validator';

import { kindOf } from '../errors/value-kind.js';

/** The longest id accepted, in characters: room for any real id, too short to be a payload. */
export const MAX_IDENTIFIER_LENGTH = 256;

// Ids that stand for "nobody thought about this yet". One of them in production means that strangers share an identity.
const WORDS =
  'placeholder|registry|default|temp|none|null|undefined|0|1|xxx|yyy|' +
  'example|test|demo|sample|template|mock|fake|dummy';
const PREFIXES = 'placeholder|registry|default|temp|example|demo|sample|template|mock|fake';
const PLACEHOLDER = new RegExp(`^\\s*(?:${WORDS})\\s*$|^(?:${PREFIXES})_`);
const TEST_PREFIX = /^test_/i;
// A prefix only gives a placeholder away in a short id; a long one carries entropy of its own.
const PREFIX_RULE_BELOW = 20;
const CONTROL_CHARACTER = /\p{Cc}/u;

/** Says which rule a value breaks as an id, or `undefined` when it is a good one. */
export function identifierFault(value: unknown): string | undefined {
  if (typeof value !== 'string') return `must be a string, not ${kindOf(value)}`;
  if (value.trim() === '') return 'must not be empty';
  if (value.length > MAX_IDENTIFIER_LENGTH) {
    return `must not be longer than ${MAX_IDENTIFIER_LENGTH} characters`;
  }
  // UTF-8 writes all halves of a surrogate pair alike: on the way to a disk or a network two ids would become one.
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
 * For ids that name whom something is done to. Whether anyone has such an id is another question.
 *
 * @throws {TypeError} for what is no text, or none that could be written as bytes: it would name other users, or all of them
 */
export function assertIdText(value: unknown, name: string): asserts value is string {
  if (typeof value === 'string' && value.isWellFormed()) return;
  const got = typeof value === 'string' ? 'a text with half a surrogate pair' : typeof value;
  throw new TypeError(`Expected \`${name}\` to be the text of an id, got ${got}.`);
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
