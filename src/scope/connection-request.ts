import type { IncomingMessage } from 'node:http';

import type { UserExecutionContext } from '../context/user-execution-context.js';

type Headers = Readonly<Record<string, string>>;
type Query = Readonly<Record<string, string>>;

const EMPTY: Readonly<Record<string, never>> = Object.freeze(
  Object.create(null) as object,
) as never;

/**
 * What Nest's `REQUEST` is inside a connection: a small frozen value, never the socket or the upgrade
 * request, which would stay in memory for as long as the connection.
 */
export class ConnectionRequest {
  private constructor(
    readonly context: UserExecutionContext,
    /** Path of the gateway, without the query. */
    readonly path: string,
    /** The query's parameters; of one that is repeated, the last. */
    readonly query: Query,
    /** Address of the peer: of a proxy, where there is one. */
    readonly remoteAddress: string | undefined,
    /** Only what `handshake.keepHeaders` names. */
    readonly headers: Headers,
  ) {
    Object.freeze(this);
  }

  /** Reads an upgrade request; keeps nothing of it. */
  static from(
    context: UserExecutionContext,
    request: IncomingMessage,
    path: string,
    keepHeaders: readonly string[],
  ): ConnectionRequest {
    return new ConnectionRequest(
      context,
      path,
      readQuery(request.url ?? ''),
      request.socket.remoteAddress,
      readHeaders(request, keepHeaders),
    );
  }
}

function readQuery(url: string): Query {
  const start = url.indexOf('?');
  if (start === -1) return EMPTY;
  const query = Object.create(null) as Record<string, string>;
  for (const [name, value] of new URLSearchParams(url.slice(start + 1))) query[name] = value;
  return Object.freeze(query);
}

function readHeaders(request: IncomingMessage, names: readonly string[]): Headers {
  if (names.length === 0) return EMPTY;
  const headers = Object.create(null) as Record<string, string>;
  for (const name of names) {
    const value = request.headers[name.toLowerCase()];
    if (value !== undefined) headers[name.toLowerCase()] = String(value);
  }
  return Object.freeze(headers);
}
