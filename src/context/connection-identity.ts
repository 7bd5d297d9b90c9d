import type { IncomingHttpHeaders } from 'node:http';

/** The identity of the connecting user, from an authenticator. `null` counts as absent, as a database returns it. */
export interface ConnectionIdentity {
  /** Identifies the user. The same user has the same id on every connection. */
  readonly userId: string;
  /** The conversation or session this connection belongs to. Default: a new one. */
  readonly threadId?: string | null | undefined;
  /** The unit of work inside the thread. Default: a new one. */
  readonly runId?: string | null | undefined;
  /** When the identity expires: a date or epoch milliseconds. The connection closes then with 4401. Default: never. */
  readonly expiresAt?: Date | number | null | undefined;
  /**
   * Plain data to carry along, for example roles: objects, arrays and primitive values. It is copied and frozen. A
   * value that cannot be (a `Set`, a `Date`, an instance of a class) is refused, and the error names its place.
   */
  readonly metadata?: Readonly<Record<string, unknown>> | null | undefined;
}

/** The part of an HTTP request that a context reads. The request is never kept. */
export interface RequestLike {
  readonly headers: IncomingHttpHeaders;
}
