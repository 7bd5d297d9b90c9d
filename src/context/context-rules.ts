import { IsOptional, validateSync } from 'class-validator';

import type { ContextFault } from './context.errors.js';
import { identifierFault, IsIdentifier } from './identifier.js';

/** Names that belong to the context itself; metadata that carries one could be mistaken for it. */
export const RESERVED_METADATA_KEYS: ReadonlySet<string> = new Set([
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

/** What a context is made of, before it was checked. */
export interface ContextInput {
  readonly userId: string;
  readonly threadId?: string | undefined;
  readonly runId?: string | undefined;
  readonly connectionId?: string | undefined;
  readonly expiresAt?: Date | number | undefined;
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
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

  constructor({ userId, threadId, runId, connectionId }: ContextInput) {
    Object.assign(this, { userId, threadId, runId, connectionId });
  }
}

/** Every rule that the input breaks; empty when it is good. */
export function contextFaults(input: ContextInput): ContextFault[] {
  // The same rule function first: class-validator costs more than the rest of a handshake, so it is
  // asked only to word the faults of an input that has some.
  const faults = hasGoodIds(input) ? [] : idFaults(input);
  const expiry = expiryFault(input.expiresAt);
  if (expiry) faults.push({ field: 'expiresAt', rule: expiry });
  const metadata = metadataFault(input.metadata);
  if (metadata) faults.push({ field: 'metadata', rule: metadata });
  return faults;
}

function hasGoodIds({ userId, threadId, runId, connectionId }: ContextInput): boolean {
  return (
    identifierFault(userId) === undefined &&
    isAbsentOrGood(threadId) &&
    isAbsentOrGood(runId) &&
    isAbsentOrGood(connectionId)
  );
}

function isAbsentOrGood(id: unknown): boolean {
  return id === undefined || id === null || identifierFault(id) === undefined;
}

function idFaults(input: ContextInput): ContextFault[] {
  return validateSync(new ContextIds(input)).flatMap(({ property, constraints = {} }) =>
    Object.values(constraints).map((rule) => ({ field: property, rule })),
  );
}

function expiryFault(expiresAt: unknown): string | undefined {
  if (expiresAt === undefined) return undefined;
  const epochMs = expiresAt instanceof Date ? expiresAt.getTime() : expiresAt;
  return typeof epochMs === 'number' && Number.isFinite(epochMs)
    ? undefined
    : 'must be a Date or a number of epoch milliseconds';
}

function metadataFault(metadata: unknown): string | undefined {
  if (metadata === undefined) return undefined;
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) {
    return 'must be an object';
  }
  const reserved = Object.keys(metadata).filter((key) => RESERVED_METADATA_KEYS.has(key));
  return reserved.length > 0 ? `must not carry ${reserved.join(', ')}` : undefined;
}
