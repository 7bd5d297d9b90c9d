import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingHttpHeaders } from 'node:http';

import {
  type ContextFault,
  ExpiredIdentityError,
  InvalidContextError,
  NoActiveContextError,
} from './context.errors.js';
import { readIdentity } from './context-rules.js';
import { identifierFault } from './identifier.js';
import { createId } from './ids.js';

/** How deep `child()` may nest before it is taken for a runaway recursion. */
export const MAX_OPERATION_DEPTH = 10;

/** What an authenticator says about whoever is connecting. `null` is absent, as it comes from a database. */
export interface ConnectionIdentity {
  /** Who it is. The same person has the same id on every connection. */
  readonly userId: string;
  /** The conversation or session this connection belongs to. Default: a new one. */
  readonly threadId?: string | null | undefined;
  /** The unit of work inside the thread. Default: a new one. */
  readonly runId?: string | null | undefined;
  /** When the identity ends: a date, or epoch milliseconds. The connection is closed then with 4401. Default: never. */
  readonly expiresAt?: Date | number | null | undefined;
  /**
   * Plain data to carry along, for example roles: objects, arrays and primitive values. It is copied and frozen;
   * what cannot be (a `Set`, a `Date`, an instance of a class) is refused with its name.
   */
  readonly metadata?: Readonly<Record<string, unknown>> | null | undefined;
}

/** The part of an HTTP request that a context reads. It is never kept. */
export interface RequestLike {
  readonly headers: IncomingHttpHeaders;
}

/** Code of a connection that runs: a handler, a hook, a step of the connection's end. */
export interface Running {
  /** As whom it runs. */
  readonly context: UserExecutionContext;
  /**
   * It waits for connections to end, perhaps for its own: until then the end of its connection must not wait for it.
   *
   * @returns it waits no more
   */
  waits(): () => void;
}

// TypeScript keeps others from the constructor, JavaScript does not: who has no key makes no context.
const KEY = Symbol('makes contexts');
const running = new AsyncLocalStorage<Running | undefined>();

/**
 * Who a connection (or HTTP request) belongs to: a frozen value, made in one place, injectable
 * wherever Nest resolves REQUEST-scoped providers.
 *
 * @example
 * ```ts
 * constructor(private readonly context: UserExecutionContext) {}
 * hello() { return `Hello ${this.context.userId}`; }
 * ```
 */
export class UserExecutionContext {
  readonly userId: string;
  readonly threadId: string;
  readonly runId: string;
  readonly requestId: string;
  readonly connectionId: string;
  /** Plain data from the authenticator, frozen to the bottom. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** 0 for the context of the connection, one more for every `child()`. */
  readonly operationDepth: number;
  /** The `requestId` of the context this one is a child of. */
  readonly parentRequestId: string | undefined;
  // Numbers instead of dates: a Date can be changed even inside a frozen object, and weighs more.
  readonly #createdAtMs: number;
  readonly #expiresAtMs: number | undefined;
  readonly #isThreadNamed: boolean;

  private constructor(fields: ContextFields, key: typeof KEY) {
    if (key !== KEY) throw notMadeHere(undefined);
    this.userId = fields.userId;
    this.threadId = fields.threadId;
    this.runId = fields.runId;
    this.requestId = fields.requestId;
    this.connectionId = fields.connectionId;
    this.metadata = fields.metadata;
    this.operationDepth = fields.operationDepth;
    this.parentRequestId = fields.parentRequestId;
    this.#createdAtMs = fields.createdAtMs;
    this.#expiresAtMs = fields.expiresAtMs;
    this.#isThreadNamed = fields.isThreadNamed;
    Object.freeze(this);
  }

  /**
   * The single source of contexts for connections.
   *
   * @throws {InvalidContextError} listing every fault of the given identity
   */
  static fromWebSocketRequest(
    input: ConnectionIdentity & {
      readonly request?: RequestLike;
      /** An id made earlier by this method, when the connection resumes. Default: a new one. */
      readonly connectionId?: string;
    },
  ): UserExecutionContext {
    return UserExecutionContext.#create(input, input?.request, input?.connectionId);
  }

  /**
   * The context of an HTTP request, from the same kind of identity that a connection has.
   *
   * @throws {InvalidContextError} listing every fault of the given identity
   */
  static fromHttpRequest(request: RequestLike, identity: ConnectionIdentity): UserExecutionContext {
    return UserExecutionContext.#create(identity, request);
  }

  /**
   * The context of the handler that is running, also inside functions that know nothing of Nest.
   *
   * @throws {NoActiveContextError} outside a handler
   */
  static current(): UserExecutionContext {
    const run = running.getStore();
    if (!run) throw new NoActiveContextError();
    return run.context;
  }

  /**
   * @internal Whether this library made it. A spread, a clone or a look-alike has the same fields, and is nobody.
   */
  static isContext(value: unknown): value is UserExecutionContext {
    return typeof value === 'object' && value !== null && #createdAtMs in value;
  }

  /** When the context was made. */
  get createdAt(): Date {
    return new Date(this.#createdAtMs);
  }

  /** When the identity ends, if it does. */
  get expiresAt(): Date | undefined {
    return this.#expiresAtMs === undefined ? undefined : new Date(this.#expiresAtMs);
  }

  /** Whether the identity named the thread; false where a new one was made for the connection. */
  get isThreadNamed(): boolean {
    return this.#isThreadNamed;
  }

  /** `user:thread`, where `:` and `%` inside an id are percent-encoded: two pairs never share a key. */
  get isolationKey(): string {
    return `${encodeKeyPart(this.userId)}:${encodeKeyPart(this.threadId)}`;
  }

  /**
   * The context of one step inside this one: same user, thread and connection, a new `requestId`.
   *
   * @throws {InvalidContextError} when more than ten steps are nested, or the name is not an id
   */
  child(operation: string): UserExecutionContext {
    const faults: ContextFault[] = [];
    const nameFault = identifierFaultOfOperation(operation);
    if (nameFault) faults.push({ field: 'operation', rule: nameFault });
    if (this.operationDepth >= MAX_OPERATION_DEPTH) {
      faults.push({ field: 'operationDepth', rule: `must not exceed ${MAX_OPERATION_DEPTH}` });
    }
    if (faults.length > 0) throw new InvalidContextError(faults);
    return this.#derive({
      requestId: createId('req'),
      parentRequestId: this.requestId,
      operationDepth: this.operationDepth + 1,
    });
  }

  /** The same context with a new `runId`: the next unit of work of the thread. */
  run(): UserExecutionContext {
    return this.#derive({ runId: createId('run') });
  }

  toJSON(): Record<string, unknown> {
    return {
      userId: this.userId,
      threadId: this.threadId,
      runId: this.runId,
      requestId: this.requestId,
      connectionId: this.connectionId,
      createdAt: this.createdAt,
      ...(this.#expiresAtMs !== undefined && { expiresAt: this.expiresAt }),
      metadata: this.metadata,
      operationDepth: this.operationDepth,
      ...(this.parentRequestId !== undefined && { parentRequestId: this.parentRequestId }),
      isolationKey: this.isolationKey,
    };
  }

  static #create(
    identity: unknown,
    request: RequestLike | undefined,
    connectionId?: unknown,
  ): UserExecutionContext {
    const input = readIdentity(identity, connectionId);
    const now = Date.now();
    return new UserExecutionContext(
      {
        userId: input.userId,
        threadId: input.threadId ?? createId('thread', now),
        isThreadNamed: input.threadId !== undefined,
        runId: input.runId ?? createId('run', now),
        requestId: traceId(request) ?? createId('req', now),
        connectionId: input.connectionId ?? createId('conn', now),
        metadata: input.metadata,
        operationDepth: 0,
        parentRequestId: undefined,
        createdAtMs: now,
        expiresAtMs: input.expiresAtMs,
      },
      KEY,
    );
  }

  #derive(changes: Partial<ContextFields>): UserExecutionContext {
    const fields = {
      userId: this.userId,
      threadId: this.threadId,
      isThreadNamed: this.#isThreadNamed,
      runId: this.runId,
      requestId: this.requestId,
      connectionId: this.connectionId,
      metadata: this.metadata,
      operationDepth: this.operationDepth,
      parentRequestId: this.parentRequestId,
      createdAtMs: Date.now(),
      expiresAtMs: this.#expiresAtMs,
      ...changes,
    };
    return new UserExecutionContext(fields, KEY);
  }
}

interface ContextFields {
  userId: string;
  threadId: string;
  isThreadNamed: boolean;
  runId: string;
  requestId: string;
  connectionId: string;
  metadata: Readonly<Record<string, unknown>>;
  operationDepth: number;
  parentRequestId: string | undefined;
  createdAtMs: number;
  expiresAtMs: number | undefined;
}

/**
 * Runs code of a connection, so that {@link UserExecutionContext.current} answers with its context. With one argument,
 * and not any number of them: every message passes here, and each list of arguments is an array.
 */
export function runInContext<Argument, Result>(
  run: Running,
  fn: (argument: Argument) => Result,
  argument: Argument,
): Result {
  return running.run(run, fn, argument);
}

/** Runs a function, and whatever it begins, outside of any context. */
export function runOutsideContext<Argument, Result>(
  fn: (argument: Argument) => Result,
  argument: Argument,
): Result {
  // Not with `exit()`: before Node.js 24 that switches the storage off for the whole process, and code of a connection
  // that runs inside switches it on again with the context that was to be left.
  return running.run(undefined, fn, argument);
}

/** The code of a connection that is calling; `undefined` where other code calls. */
export function runningCode(): Running | undefined {
  return running.getStore();
}

/** One part of an isolation key. Ordinary ids read as they are. */
export function encodeKeyPart(id: string): string {
  return id.includes('%') || id.includes(':')
    ? id.replaceAll('%', '%25').replaceAll(':', '%3A')
    : id;
}

/** The user and thread that an isolation key was made of; `undefined` where it is not such a key. */
export function parseIsolationKey(key: string): { userId: string; threadId: string } | undefined {
  const parts = key.split(':');
  if (parts.length !== 2) return undefined;
  const [userId, threadId] = parts.map((part) =>
    part.replaceAll('%3A', ':').replaceAll('%25', '%'),
  ) as [string, string];
  return { userId, threadId };
}

/**
 * Makes sure that a context was made by this library, from an identity it has checked.
 *
 * @throws {InvalidContextError} for anything else, however much it looks like one
 */
export function assertContext(value: unknown): asserts value is UserExecutionContext {
  if (!UserExecutionContext.isContext(value)) throw notMadeHere(value);
}

/** @throws {ExpiredIdentityError} when the identity of a context has ended at an instant, in epoch milliseconds */
export function assertNotExpired({ userId, expiresAt }: UserExecutionContext, now: number): void {
  const expiresAtMs = expiresAt?.getTime();
  if (expiresAtMs !== undefined && expiresAtMs <= now) {
    throw new ExpiredIdentityError(userId, expiresAtMs);
  }
}

function notMadeHere(value: unknown): InvalidContextError {
  const rule = isOfAnotherCopy(value)
    ? 'was made by another copy of nestjs-websocket-isolation: run `npm ls nestjs-websocket-isolation` and `npm dedupe`, so that there is one'
    : 'must be made by UserExecutionContext.fromWebSocketRequest() or fromHttpRequest(), child() or run(); a copy of one is none';
  return new InvalidContextError([{ field: 'context', rule }]);
}

function isOfAnotherCopy(value: unknown): boolean {
  try {
    const type = (value as object).constructor;
    return type.name === UserExecutionContext.name && type !== UserExecutionContext;
  } catch {
    return false;
  }
}

// A proxy's trace id joins our log lines with its own, as long as it is a harmless id.
function traceId(request: RequestLike | undefined): string | undefined {
  const header = request?.headers?.['x-request-id'];
  return typeof header === 'string' && identifierFault(header) === undefined ? header : undefined;
}

// Operations are words of the program such as `default` or `test`: placeholders are welcome here.
function identifierFaultOfOperation(operation: unknown): string | undefined {
  if (typeof operation === 'string' && operation.trim() !== '' && operation.length <= 256) {
    return undefined;
  }
  return 'must be a name of 1 to 256 characters';
}
