import type { IncomingHttpHeaders } from 'node:http';

/** What an authenticator says about the user who is connecting. `null` is absent, as it comes from a database. */
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
