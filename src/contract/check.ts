import { isThenable } from '../structures/maybe-async.js';
import type { StandardSchema } from './standard-schema.js';

/** One fault of a value, as it is told to the sender. */
export interface ContractIssue {
  /** Where the fault is: keys of objects, and indexes of arrays. Empty for the value itself. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** The result of a check. */
export type Checked =
  | { readonly value: unknown; readonly issues?: undefined }
  | { readonly issues: readonly ContractIssue[] };

// A sender may cause any number of issues, each with texts of its own.
const MOST_ISSUES = 20;
const DEEPEST_PATH = 32;
const LONGEST_KEY = 128;
const LONGEST_MESSAGE = 256;

/**
 * Checks a value. Returns a promise only where the schema does. The caller is responsible for the deadline.
 *
 * Throws, or rejects with, what the schema throws, and a `TypeError` for a result that is none: neither a value nor a
 * list of issues. Only a value admits.
 */
export function check(schema: StandardSchema, value: unknown): Checked | Promise<Checked> {
  const result: unknown = schema['~standard'].validate(value);
  return isThenable(result) ? Promise.resolve(result).then(read) : read(result);
}

function read(result: unknown): Checked {
  const { issues } = (result ?? {}) as { issues?: unknown };
  if (Array.isArray(issues)) return { issues: issues.slice(0, MOST_ISSUES).map(issueOf) };
  if (issues === undefined && typeof result === 'object' && result !== null && 'value' in result) {
    return { value: result.value };
  }
  throw new TypeError(
    'A schema returned neither { value } nor { issues: […] }, so the value counts as refused.',
  );
}

function issueOf(issue: unknown): ContractIssue {
  const { message, path } = (issue ?? {}) as { message?: unknown; path?: unknown };
  const keys = Array.isArray(path) ? (path as unknown[]).slice(0, DEEPEST_PATH) : [];
  return { path: keys.map(keyOf), message: textOf(message, LONGEST_MESSAGE) };
}

function keyOf(part: unknown): string | number {
  const key = typeof part === 'object' && part !== null && 'key' in part ? part.key : part;
  return typeof key === 'number' ? key : textOf(key, LONGEST_KEY);
}

function textOf(value: unknown, longest: number): string {
  return String(value).slice(0, longest);
}

/** The issues in one line: `text: too short; at: no date`. */
export function issuesText(issues: readonly ContractIssue[]): string {
  return issues.map(({ path, message }) => [...path, message].join(': ')).join('; ');
}

const LONGEST_FAULT = 1_024;

/** What is wrong with a value, for its sender and for the log. @param what names the value: `"say"` */
export function faultText(what: string, issues: readonly ContractIssue[]): string {
  const text = `The data of ${what} does not fit the contract: ${issuesText(issues)}`;
  return text.slice(0, LONGEST_FAULT);
}
