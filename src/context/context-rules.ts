import { IsOptional, validateSync } from '../validation/class-validator.js';
import { types } from 'node:util';

import type { RequestLike } from './connection-identity.js';
import { type ContextFault, InvalidContextError } from './context.errors.js';
import { identifierFault, IsIdentifier } from './identifier.js';
import { copyMetadata } from './metadata.js';
import { epochMsOf, kindOf } from '../errors/value-kind.js';

/** A checked identity, from which a context is made. */
export interface ContextInput extends IdFields {
  readonly userId: string;
  readonly threadId: string | undefined;
  readonly runId: string | undefined;
  readonly connectionId: string | undefined;
  readonly expiresAtMs: number | undefined;
  /** A frozen copy of the given metadata. */
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** All fields of a context. */
export interface ContextFields {
  userId: string;
  threadId: string;
  isThreadNamed: boolean;
  /** `undefined`: made when it is first read. */
  runId: string | undefined;
  /** `undefined`: made when it is first read. */
  requestId: string | undefined;
  connectionId: string;
  metadata: Readonly<Record<string, unknown>>;
  operationDepth: number;
  parentRequestId: string | undefined;
  createdAtMs: number;
  expiresAtMs: number | undefined;
}

/** The latest instant that a `Date` can represent. */
const LATEST_MS = 8.64e15;
/** How many field names are listed for an identity without a `userId`: enough to recognise what it is instead. */
const NAMES_LISTED = 12;

interface IdFields {
  readonly userId: unknown;
  readonly threadId: unknown;
  readonly runId: unknown;
  readonly connectionId: unknown;
}

/** The rules for ids, for class-validator. */
class ContextIds {
  @IsIdentifier()
  userId: unknown;

  @IsOptional()
  @IsIdentifier()
  threadId: unknown;

  @IsOptional()
  @IsIdentifier()
  runId: unknown;

  @IsOptional()
  @IsIdentifier()
  connectionId: unknown;

  constructor(ids: IdFields) {
    Object.assign(this, ids);
  }
}

/**
 * Checks an identity. Reads each field once, so that the value that is used is the one that was checked. `null` counts
 * as absent, as a database returns it.
 *
 * @throws {InvalidContextError} listing every rule that the identity breaks
 */
export function readIdentity(identity: unknown, connectionId: unknown): ContextInput {
  if (typeof identity !== 'object' || identity === null) {
    const rule = `must be an object with a userId, not ${kindOf(identity)}`;
    throw new InvalidContextError([{ field: 'identity', rule }]);
  }
  const { userId, threadId, runId, expiresAt, metadata } = identity as Record<string, unknown>;
  const ids: IdFields = {
    userId,
    threadId: threadId ?? undefined,
    runId: runId ?? undefined,
    connectionId: connectionId ?? undefined,
  };
  // The rule function is called directly first: class-validator costs more than the rest of a handshake, so it runs
  // only to describe the faults of an invalid identity.
  const faults = hasGoodIds(ids) ? [] : idFaults(ids, identity);
  const expiresAtMs = readExpiry(expiresAt, faults);
  const copy = copyMetadata(metadata, faults);
  if (faults.length > 0) throw new InvalidContextError(faults);
  // Written out: a spread costs 1.7 µs here, as much as the rest of a context.
  return {
    userId: ids.userId as string,
    threadId: ids.threadId as string | undefined,
    runId: ids.runId as string | undefined,
    connectionId: ids.connectionId as string | undefined,
    expiresAtMs,
    metadata: copy,
  };
}

function hasGoodIds({ userId, threadId, runId, connectionId }: IdFields): boolean {
  return (
    identifierFault(userId) === undefined &&
    isAbsentOrGood(threadId) &&
    isAbsentOrGood(runId) &&
    isAbsentOrGood(connectionId)
  );
}

function isAbsentOrGood(id: unknown): boolean {
  return id === undefined || identifierFault(id) === undefined;
}

function idFaults(ids: IdFields, identity: object): ContextFault[] {
  const faults = validateSync(new ContextIds(ids)).flatMap(({ property, constraints = {} }) =>
    Object.values(constraints).map((rule) => ({ field: property, rule })),
  );
  if (ids.userId !== undefined && ids.userId !== null) return faults;
  const missing = { field: 'userId', rule: `is missing${namesIn(identity)}` };
  return [missing, ...faults.filter(({ field }) => field !== 'userId')];
}

// An identity without a `userId` is often the claims of a token or a row of a table: its names show what was meant.
function namesIn(identity: object): string {
  const names = Object.keys(identity).filter((name) => name !== 'userId');
  const shown = names.slice(0, NAMES_LISTED).map((name) => name.slice(0, 32));
  return shown.length > 0 ? ` (the identity has ${shown.join(', ')})` : '';
}

function readExpiry(expiresAt: unknown, faults: ContextFault[]): number | undefined {
  if (expiresAt === undefined || expiresAt === null) return undefined;
  const epochMs = types.isDate(expiresAt) ? epochMsOf(expiresAt) : expiresAt;
  if (typeof epochMs === 'number' && Math.abs(epochMs) <= LATEST_MS) return epochMs;
  const isTooLate = typeof epochMs === 'number' && !Number.isNaN(epochMs);
  const given = isTooLate ? 'a number outside the range of a Date' : kindOf(expiresAt);
  const rule = `must be a Date or a number of epoch milliseconds, not ${given}`;
  faults.push({ field: 'expiresAt', rule });
  return undefined;
}

/** The `x-request-id` of a proxy, which joins its log lines with those of the app; `undefined` for an invalid id. */
export function requestIdOf(request: RequestLike | undefined): string | undefined {
  const header = request?.headers?.['x-request-id'];
  return typeof header === 'string' && identifierFault(header) === undefined ? header : undefined;
}

/** The rule that an operation name breaks. Words that are refused as ids, such as `default` or `test`, are allowed. */
export function operationFault(operation: unknown): string | undefined {
  if (typeof operation === 'string' && operation.trim() !== '' && operation.length <= 256) {
    return undefined;
  }
  return 'must be a name of 1 to 256 characters';
}
