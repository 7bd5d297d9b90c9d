import type { IncomingMessage } from 'node:http';

import type { ContextId } from '@nestjs/core';

import { assertContext, type UserExecutionContext } from '../context/user-execution-context.js';
import { REQUEST_CONTEXT_ID } from '../nest/nest-internals.js';

/** The scope, as far as its request knows it. */
interface ScopeName {
  readonly nameForRequest: ContextId | undefined;
}

const NONE: Readonly<Record<string, string>> = Object.freeze({});

/**
 * What Nest's `REQUEST` is inside a connection: a small frozen value, never the socket or the upgrade
 * request, which would stay in memory for as long as the connection.
 */
export class ConnectionRequest {
  /** Only what `handshake.keepHeaders` names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly #search: string;
  #query: Readonly<Record<string, string>> | undefined = undefined;
  #peer: { readonly remoteAddress?: string | undefined } | undefined;
  #remoteAddress: string | undefined = undefined;
  #scope: ScopeName | undefined = undefined;

  private constructor(
    readonly context: UserExecutionContext,
    /** Path of the gateway, without the query. */
    readonly path: string,
    request: IncomingMessage,
    keepHeaders: readonly string[],
  ) {
    this.#peer = request.socket;
    this.headers = readHeaders(request, keepHeaders);
    const { url = '' } = request;
    const start = url.indexOf('?');
    this.#search = start === -1 ? '' : url.slice(start + 1);
    Object.freeze(this);
  }

  /**
   * @internal Reads an upgrade request; keeps nothing of it.
   *
   * @throws {InvalidContextError} for a context that this library has not made
   */
  static from(
    context: UserExecutionContext,
    request: IncomingMessage,
    path: string,
    keepHeaders: readonly string[],
  ): ConnectionRequest {
    assertContext(context);
    return new ConnectionRequest(context, path, request, keepHeaders);
  }

  /** @internal Whether this library made it, with {@link from}. */
  static isOne(value: unknown): value is ConnectionRequest {
    return typeof value === 'object' && value !== null && #search in value;
  }

  /** @internal Names the scope in which this is the `REQUEST`. */
  static bind(request: ConnectionRequest, scope: ScopeName): void {
    request.#scope = scope;
  }

  /**
   * Address of the peer: of a proxy, where there is one.
   */
  get remoteAddress(): string | undefined {
    this.#remoteAddress ??= this.#peer?.remoteAddress;
    return this.#remoteAddress;
  }

  /** @internal Reads what the socket alone can tell, and lets go of it. */
  static settle(request: ConnectionRequest): void {
    request.#remoteAddress ??= request.#peer?.remoteAddress;
    request.#peer = undefined;
  }

  /** The query's parameters; of one that is repeated, the last. */
  get query(): Readonly<Record<string, string>> {
    this.#query ??= readQuery(this.#search);
    return this.#query;
  }

  /** @internal For `ContextIdFactory.getByRequest(request)`: this connection's own scope. */
  get [REQUEST_CONTEXT_ID](): ContextId | undefined {
    return this.#scope?.nameForRequest;
  }
}

function readQuery(search: string): Readonly<Record<string, string>> {
  const query = Object.create(null) as Record<string, string>;
  for (const [name, value] of new URLSearchParams(search)) query[name] = value;
  return Object.freeze(query);
}

function readHeaders(
  request: IncomingMessage,
  names: readonly string[],
): Readonly<Record<string, string>> {
  if (names.length === 0) return NONE;
  const headers = Object.create(null) as Record<string, string>;
  for (const name of names) {
    const value = request.headers[name.toLowerCase()];
    if (value !== undefined) headers[name.toLowerCase()] = String(value);
  }
  return Object.freeze(headers);
}
