import type { ConnectionIdentity, RequestLike } from './connection-identity.js';
import { type ContextFault, InvalidContextError, NoActiveContextError } from './context.errors.js';
import { type ContextFields, operationFault, readIdentity, requestIdOf } from './context-rules.js';
import { createId } from './ids.js';
import { encodeKeyPart } from './isolation-key.js';
import { renewedFields } from './renewed-fields.js';
import { runningCode } from './running-code.js';

/** How deep `child()` may nest. A deeper nesting counts as a runaway recursion. */
export const MAX_OPERATION_DEPTH = 10;

// Only TypeScript makes the constructor private. In JavaScript, a call without this key throws.
const KEY = Symbol('makes contexts');

/**
 * The user and the thread that a connection (or HTTP request) belongs to: a frozen value, made in one place, injectable
 * wherever Nest resolves REQUEST-scoped providers.
 *
 * @example
 * ```ts
 * constructor(private readonly context: UserExecutionContext) {}
 * hello() { return `Hello ${this.context.userId}`; }
 * ```
 */
export class UserExecutionContext {
  /** The user, as the authenticator names it: the same on all connections of the user. */
  readonly userId: string;
  /** The conversation or session, as the authenticator names it; a new id where it names none. */
  readonly threadId: string;
  /** The connection, by an id that this library makes; in an HTTP request, one for the request. */
  readonly connectionId: string;
  /** Plain data from the authenticator, deeply frozen. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** 0 for the context of the connection, one more for every `child()`. */
  readonly operationDepth: number;
  /** The `requestId` of the context that `child()` was called on. */
  readonly parentRequestId: string | undefined;
  // Numbers instead of dates: a Date can be changed even inside a frozen object, and takes more memory.
  readonly #createdAtMs: number;
  readonly #expiresAtMs: number | undefined;
  readonly #isThreadNamed: boolean;
  // Made on first use, where they are not given: most connections end before any code has read one of them.
  #runId: string | undefined;
  #requestId: string | undefined;

  private constructor(fields: ContextFields, key: typeof KEY) {
    if (key !== KEY) throw notMadeHere(undefined);
    this.userId = fields.userId;
    this.threadId = fields.threadId;
    this.connectionId = fields.connectionId;
    this.metadata = fields.metadata;
    this.operationDepth = fields.operationDepth;
    this.parentRequestId = fields.parentRequestId;
    this.#createdAtMs = fields.createdAtMs;
    this.#expiresAtMs = fields.expiresAtMs;
    this.#isThreadNamed = fields.isThreadNamed;
    this.#runId = fields.runId;
    this.#requestId = fields.requestId;
    Object.freeze(this);
  }

  /**
   * Makes the context of a connection. The only method that makes contexts for connections.
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
   * Makes the context of an HTTP request, from the same kind of identity that a connection has.
   *
   * @throws {InvalidContextError} listing every fault of the given identity
   */
  static fromHttpRequest(request: RequestLike, identity: ConnectionIdentity): UserExecutionContext {
    return UserExecutionContext.#create(identity, request);
  }

  /**
   * The context of the running handler. Also works inside functions that Nest does not call.
   *
   * @throws {NoActiveContextError} outside a handler
   */
  static current(): UserExecutionContext {
    const code = runningCode();
    if (!code) throw new NoActiveContextError();
    return code.context as UserExecutionContext;
  }

  /**
   * @internal Whether this library made the value. A spread, a clone or a look-alike with the same fields is refused.
   */
  static isContext(value: unknown): value is UserExecutionContext {
    return typeof value === 'object' && value !== null && #createdAtMs in value;
  }

  /** The unit of work of the thread. */
  get runId(): string {
    return (this.#runId ??= createId('run', this.#createdAtMs));
  }

  /** The `x-request-id` of the upgrade request if it is a valid id, otherwise a new one. */
  get requestId(): string {
    return (this.#requestId ??= createId('req', this.#createdAtMs));
  }

  /** When the context was made. */
  get createdAt(): Date {
    return new Date(this.#createdAtMs);
  }

  /** When the identity expires; `undefined` where it does not. */
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
   * Makes the context of one step inside this one: same user, thread and connection, a new `requestId`.
   *
   * @throws {InvalidContextError} when more than ten steps are nested, or the name is not 1 to 256 characters
   */
  child(operation: string): UserExecutionContext {
    const faults: ContextFault[] = [];
    const nameFault = operationFault(operation);
    if (nameFault) faults.push({ field: 'operation', rule: nameFault });
    if (this.operationDepth >= MAX_OPERATION_DEPTH) {
      faults.push({ field: 'operationDepth', rule: `must not exceed ${MAX_OPERATION_DEPTH}` });
    }
    if (faults.length > 0) throw new InvalidContextError(faults);
    return UserExecutionContext.#derive(this, {
      requestId: createId('req'),
      parentRequestId: this.requestId,
      operationDepth: this.operationDepth + 1,
    });
  }

  /** Makes a copy of this context with a new `runId`: the next unit of work of the thread. */
  run(): UserExecutionContext {
    return UserExecutionContext.#derive(this, { runId: createId('run') });
  }

  /** @internal A copy with what a renewal has brought; `undefined` for the identity of another user or thread. */
  renewed(identity: ConnectionIdentity, createdAtMs: number): UserExecutionContext | undefined {
    const changes = renewedFields(this, identity);
    return changes && UserExecutionContext.#derive(this, { ...changes, createdAtMs });
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
        runId: input.runId,
        requestId: requestIdOf(request),
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

  // Static, like `#create`: a private method of instances would take eight bytes in each.
  static #derive(of: UserExecutionContext, changes: Partial<ContextFields>): UserExecutionContext {
    const fields = {
      userId: of.userId,
      threadId: of.threadId,
      isThreadNamed: of.#isThreadNamed,
      runId: of.runId,
      requestId: of.requestId,
      connectionId: of.connectionId,
      metadata: of.metadata,
      operationDepth: of.operationDepth,
      parentRequestId: of.parentRequestId,
      createdAtMs: Date.now(),
      expiresAtMs: of.#expiresAtMs,
      ...changes,
    };
    return new UserExecutionContext(fields, KEY);
  }
}

/**
 * Asserts that a context was made by this library, from a checked identity.
 *
 * @throws {InvalidContextError} for any other value, also for one with the same fields
 */
export function assertContext(value: unknown): asserts value is UserExecutionContext {
  if (!UserExecutionContext.isContext(value)) throw notMadeHere(value);
}

function notMadeHere(value: unknown): InvalidContextError {
  const rule = isOfAnotherCopy(value)
    ? 'was made by another copy of nestjs-websocket-isolation: run `npm ls nestjs-websocket-isolation` and `npm dedupe`, so that only one copy is loaded'
    : 'must be made by UserExecutionContext.fromWebSocketRequest() or fromHttpRequest(), child() or run(); a copy of a context is refused';
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
