import type { Server as HttpServer } from 'node:http';

import type { INestApplicationContext } from '@nestjs/common';
import { WsAdapter } from '@nestjs/platform-ws';
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws';

import { ISOLATION_OPTIONS } from '../config/isolation.options.js';
import { draining, starting } from '../handshake/refusal.js';
import { isProvided } from '../nest/provided.js';
import { Plug, type Unplug } from '../structures/plug.js';
import type { AcceptUpgrade, Endpoint } from './endpoint.js';
import { takeAnnouncedGateway } from './gateway-announcement.js';
import { moduleMissing } from './isolated-gateway.decorator.js';
import type { MessageParser } from '../wire/message-parser.js';
import { hasBody } from './other-upgrades.js';
import { OwnServer } from './own-server.js';
import { PathPattern } from './path-pattern.js';
import { refuseWithHttp } from './refusal-response.js';
import { canonicalPath } from './upgrade-path.js';
import { answer, type UpgradeListener, UpgradeRouter } from './upgrade-router.js';
import { forgetClients, serverOn } from './ws-server.js';

/** The options of `new IsolatedWsAdapter(app, options)`: a parser, and options of the `ws` servers. */
export interface IsolatedWsAdapterOptions extends Omit<
  ServerOptions,
  'host' | 'port' | 'backlog' | 'server' | 'noServer' | 'path'
> {
  /** Parses a frame. Default: JSON. */
  messageParser?: MessageParser;
}

/** The port that stands for the application's own HTTP server. */
const APPLICATION_PORT = 0;

/**
 * A drop-in for Nest's `WsAdapter`: gateways with `@IsolatedGateway` are isolated, all others behave as
 * before. The module installs it by itself; write `app.useWebSocketAdapter(new IsolatedWsAdapter(app,
 * options))` only to pass options.
 */
export class IsolatedWsAdapter extends WsAdapter {
  readonly #options: Omit<IsolatedWsAdapterOptions, 'messageParser'>;
  readonly #routers = new Map<number | symbol, UpgradeRouter>();
  readonly #ownServers = new Map<HttpServer, OwnServer>();
  readonly #endpoints = new Map<unknown, Endpoint>();
  readonly #closings = new Map<unknown, Promise<void>>();
  readonly #app: Partial<INestApplicationContext>;
  /** Nest's own parser; `undefined` if the app has given a parser. */
  readonly #stockParser: unknown;
  readonly #acceptor = new Plug<AcceptUpgrade>();
  readonly #drain = new Plug<() => Promise<void>>();

  constructor(
    appOrHttpServer?: INestApplicationContext | object,
    { messageParser, ...options }: IsolatedWsAdapterOptions = {},
  ) {
    super(appOrHttpServer, messageParser ? { messageParser: messageParser as never } : undefined);
    this.#stockParser = messageParser ? undefined : this.messageParser;
    this.#options = options;
    this.#app = appOrHttpServer ?? {};
  }

  /** @internal The endpoints with isolated gateways. */
  get isolatedEndpoints(): Endpoint[] {
    return [...this.#endpoints.values()].filter(({ gateways }) => gateways.length > 0);
  }

  /** @internal Whether gateways of any kind were bound. */
  get hasEndpoints(): boolean {
    return this.#endpoints.size > 0;
  }

  /** @internal The parser in use. */
  get parser(): MessageParser {
    return this.messageParser;
  }

  /** @internal Whether the parser is code of the app. */
  get hasOwnParser(): boolean {
    return this.messageParser !== this.#stockParser;
  }

  /** @internal Sets how the HTTP server is found, if it did not exist yet at construction. */
  useHttpServer(httpServer: () => unknown): void {
    if (this.httpServer) return;
    Object.defineProperty(this, 'httpServer', { configurable: true, get: httpServer });
  }

  /** @internal A plug: takes the upgrade requests of isolated gateways. Without it, they get 503. */
  useAcceptor(accept: AcceptUpgrade): Unplug {
    return this.#acceptor.use(accept);
  }

  /** @internal A plug: the drain, which is awaited before the first socket is cut. */
  useDrain(drain: () => Promise<void>): Unplug {
    return this.#drain.use(drain);
  }

  /** @internal Waits until the gateways on ports of their own listen. @throws {IsolationError} `PORT_UNAVAILABLE` */
  async listening(): Promise<void> {
    await Promise.all([...this.#ownServers.values()].map(({ listening }) => listening));
  }

  override create(port: number, options: Record<string, unknown> = {}): WebSocketServer {
    const { server, namespace, path, ...serverOptions } = options;
    if (server || namespace) return super.create(port, options) as WebSocketServer;
    const given = { ...this.#options, ...serverOptions } as ServerOptions;
    const router = this.#routerFor(port, path, given);
    const isEveryPath = !path && this.#ownServers.has(router.httpServer);
    const canonical = isEveryPath ? undefined : canonicalPath(path as string | undefined);
    const known = this.#endpointAt(router, canonical);
    // The same path, perhaps written in another way: the gateways share a server.
    if (known) return known.webSocketServer;
    const webSocketServer = isEveryPath
      ? serverOn(router.httpServer, given)
      : new WebSocketServer({ noServer: true, ...given });
    // An `OwnServer` logs the errors of its HTTP server itself; `ws` emits them here a second time.
    webSocketServer.on('error', isEveryPath ? ignore : this.#logError);
    const endpoint: Endpoint = { webSocketServer, router, path: canonical, given, gateways: [] };
    this.#endpoints.set(webSocketServer, endpoint);
    router.add(canonical, (...upgrade) => this.#take(endpoint, upgrade));
    return webSocketServer;
  }

  override bindClientConnect(
    server: WebSocketServer,
    callback: (...args: unknown[]) => void,
  ): void {
    const gateway = takeAnnouncedGateway(server);
    const endpoint = this.#endpoints.get(server);
    if (gateway && endpoint) {
      if (this.#isModuleMissing()) throw moduleMissing(gateway.constructor.name);
      // Nest's handler stays unused: this library handles the connections of an isolated gateway itself.
      endpoint.gateways.push(gateway);
      // The path of a plain gateway is compared literally, as in `WsAdapter`, also if it has colons.
      const pattern = PathPattern.in(endpoint.path);
      if (pattern) endpoint.router.turnIntoPattern(pattern);
    } else super.bindClientConnect(server, callback);
  }

  // Nest closes a server once for each way in which its gateways write the path.
  override close(server: WebSocketServer): Promise<void> {
    let closing = this.#closings.get(server);
    if (!closing) this.#closings.set(server, (closing = this.#close(server)));
    return closing;
  }

  async #close(server: WebSocketServer): Promise<void> {
    await this.#drain.part?.();
    if (this.#endpoints.get(server)?.gateways.length) forgetClients(server);
    await super.close(server);
  }

  /** Closes the adapter's own ports. Upgrade requests on the application's port are refused until {@link leave}. */
  override async dispose(): Promise<void> {
    await Promise.all([...this.#ownServers.values()].map((server) => server.close()));
    // Without the module, no code calls `leave()` after the application has closed its port.
    if (!this.#acceptor.part) this.leave();
    await super.dispose();
  }

  /** @internal Removes the listeners from the application's HTTP server, which is closed by now. */
  leave(): void {
    for (const router of this.#routers.values()) router.dispose();
    this.#routers.clear();
    this.#ownServers.clear();
    this.#endpoints.clear();
    this.#closings.clear();
  }

  // The module is found by its options. If the adapter was given only a server, it cannot look for the module.
  #isModuleMissing(): boolean {
    return isProvided(this.#app, ISOLATION_OPTIONS) === false;
  }

  #routerFor(port: number, path: unknown, given: ServerOptions): UpgradeRouter {
    const isApplication = port === APPLICATION_PORT && this.httpServer !== undefined;
    if (isApplication) return this.#routerAt(port, () => this.httpServer as HttpServer);
    // As in `WsAdapter`: for a gateway that takes every path, `port` in the options wins over the port of the
    // decorator.
    const own = path ? port : (given.port ?? port);
    const { host, backlog } = given;
    // Port 0 without an HTTP server of the application: each gateway gets a free port of its own.
    const key = own === APPLICATION_PORT ? Symbol('free port') : own;
    // Gateways on one port have the same host: `assertAddressesFit` has checked that.
    return this.#routerAt(key, () => {
      const server = new OwnServer({ port: own, host, backlog }, this.logger);
      this.#ownServers.set(server.http, server);
      return server.http;
    });
  }

  #routerAt(key: number | symbol, httpServer: () => HttpServer): UpgradeRouter {
    let router = this.#routers.get(key);
    if (!router) this.#routers.set(key, (router = new UpgradeRouter(httpServer())));
    return router;
  }

  #endpointAt(router: UpgradeRouter, path: string | undefined): Endpoint | undefined {
    for (const endpoint of this.#endpoints.values()) {
      if (endpoint.router === router && endpoint.path === path) return endpoint;
    }
    return undefined;
  }

  #take(endpoint: Endpoint, upgrade: Parameters<UpgradeListener>): void {
    const [request, socket] = upgrade;
    const { gateways, webSocketServer } = endpoint;
    if (gateways.length > 0) {
      if (hasBody(request)) answer(socket, '400 Bad Request');
      else if (this.#acceptor.part) this.#acceptor.part(endpoint, ...upgrade);
      else refuseWithHttp({ socket }, starting());
    } else if (this.#closings.has(webSocketServer)) {
      refuseWithHttp({ socket }, draining());
    } else this.#takePlain(webSocketServer, upgrade);
  }

  #takePlain(webSocketServer: WebSocketServer, upgrade: Parameters<UpgradeListener>): void {
    const [request, socket] = upgrade;
    try {
      webSocketServer.handleUpgrade(...upgrade, (client: WebSocket) => {
        client.on('error', this.#logError);
        webSocketServer.emit('connection', client, request);
      });
    } catch (error) {
      // Thrown by functions of the app that `ws` calls: `verifyClient`, `handleProtocols`.
      this.#logError(error as Error);
      answer(socket, '500 Internal Server Error');
    }
  }

  readonly #logError = (error: Error): void => this.logger.error(error);
}

function ignore(): void {
  // `OwnServer` has logged the error already.
}
