import { kindOf } from '../errors/value-kind.js';
import { InvalidTopicError } from './topic.errors.js';

const LONGEST = 256;
const CONTROL_CHARACTER = /\p{Cc}/u;

/** The rule that a value breaks as the name of a topic; `undefined` for a valid name. */
export function topicFault(name: unknown): string | undefined {
  if (typeof name !== 'string') return `must be a string, not ${kindOf(name)}`;
  if (name.length === 0 || name.length > LONGEST) return `must have 1 to ${LONGEST} characters`;
  // UTF-8 encodes every lone surrogate as the same bytes: on a network, two topics would become one.
  if (!name.isWellFormed()) return 'must be well-formed Unicode, without half a surrogate pair';
  return CONTROL_CHARACTER.test(name) ? 'must not contain control characters' : undefined;
}

/** @throws {InvalidTopicError} for a value that cannot name a topic */
export function assertTopicName(name: unknown): asserts name is string {
  const fault = topicFault(name);
  if (fault !== undefined) throw new InvalidTopicError(fault);
}
