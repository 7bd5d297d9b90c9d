import type { IncomingMessage } from 'node:http';

import type { ContextId } from '@nestjs/core';

import type { PathParams } from '../config/isolation.options.js';
import { assertContext, type UserExecutionContext } from '../context/user-execution-context.js';
import { REQUEST_CONTEXT_ID } from '../nest/nest-internals.js';

/** The part of a scope that its request uses. */
interface ScopeName {
  readonly nameForRequest: ContextId | undefined;
}

const NONE: Readonly<Record<string, string>> = Object.freeze({});

/** The parameters of a path are missing on a request that no gateway has received. */
type UpgradeRequest = IncomingMessage & { readonly params?: PathParams };

/**
 * The value of Nest's `REQUEST` inside a connection: a small frozen object. It is never the socket or the upgrade
 * request, which would stay in memory for as long as the connection.
 */
export class ConnectionRequest {
  /** Only the headers that `handshake.keepHeaders` names. */
  readonly headers: Readonly<Record<string, string>>;
  /** The parameters of the path: `{ room: '42' }` for a client of `/room/42` at a gateway with the path `/room/:room`. */
  readonly params: PathParams;
  // The target of the upgrade request, and not its query alone: a part of a string keeps the whole in memory anyway.
  readonly #url: string;
  #query: Readonly<Record<string, string>> | undefined = undefined;
  #peer: { readonly remoteAddress?: string | undefined } | undefined;
  #remoteAddress: string | undefined = undefined;
  #scope: ScopeName | undefined = undefined;

  private constructor(
    readonly context: UserExecutionContext,
    /** Path of the gateway, without the query: `/room/:room` for all clients of such a gateway. */
    readonly path: string,
    request: UpgradeRequest,
    keepHeaders: readonly string[],
    address: string | undefined,
  ) {
    this.#peer = request.socket;
    this.#remoteAddress = address;
    this.headers = readHeaders(request, keepHeaders);
    const { url = '', params = NONE } = request;
    this.params = params;
    this.#url = url;
    Object.freeze(this);
  }

  /**
   * @internal Reads an upgrade request, and does not keep it.
   *
   * @param address of the client. Default: the address of the peer, which is read when it is asked for
   * @throws {InvalidContextError} for a context that this library has not created
   */
  static from(
    context: UserExecutionContext,
    request: UpgradeRequest,
    path: string,
    keepHeaders: readonly string[],
    address?: string,
  ): ConnectionRequest {
    assertContext(context);
    return new ConnectionRequest(context, path, request, keepHeaders, address);
  }

  /** @internal Whether a value was created by {@link from}. */
  static isOne(value: unknown): value is ConnectionRequest {
    return typeof value === 'object' && value !== null && #url in value;
  }

  /** @internal Sets the scope in which this is the `REQUEST`. */
  static bind(request: ConnectionRequest, scope: ScopeName): void {
    request.#scope = scope;
  }

  /** Address of the client: that of the peer or, behind the proxies of `handshake.trustProxy`, what they say. */
  get remoteAddress(): string | undefined {
    this.#remoteAddress ??= this.#peer?.remoteAddress;
    return this.#remoteAddress;
  }

  /** @internal Reads the peer's address from the socket, and releases the socket. */
  static settle(request: ConnectionRequest): void {
    request.#remoteAddress ??= request.#peer?.remoteAddress;
    request.#peer = undefined;
  }

  /** The parameters of the query; for a repeated one, the last value. */
  get query(): Readonly<Record<string, string>> {
    this.#query ??= readQuery(this.#url);
    return this.#query;
  }

  /** @internal For `ContextIdFactory.getByRequest(request)`: this connection's own scope. */
  get [REQUEST_CONTEXT_ID](): ContextId | undefined {
    return this.#scope?.nameForRequest;
  }
}

function readQuery(url: string): Readonly<Record<string, string>> {
  const start = url.indexOf('?');
  const search = start === -1 ? '' : url.slice(start + 1);
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
