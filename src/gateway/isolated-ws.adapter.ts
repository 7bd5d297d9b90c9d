import type { Server as HttpServer } from 'node:http';

import type { INestApplicationContext } from '@nestjs/common';
import { WsAdapter } from '@nestjs/platform-ws';
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws';

import { ISOLATION_OPTIONS } from '../config/isolation.options.js';
import { takeAnnouncedGateway } from './gateway-announcement.js';
import { moduleMissing } from './isolated-gateway.decorator.js';
import type { MessageParser } from './message-parser.js';
import { chooseProtocol } from './subprotocol.js';
import { canonicalPath } from './upgrade-path.js';
import { listenForUpgrades, type UpgradeListener, UpgradeRouter } from './upgrade-router.js';

/** What `new IsolatedWsAdapter(app, options)` takes: a parser, and options of the `ws` servers. */
export interface IsolatedWsAdapterOptions extends Omit<
  ServerOptions,
  'host' | 'port' | 'backlog' | 'server' | 'noServer' | 'path'
> {
  /** Reads a frame. Default: JSON. */
  messageParser?: MessageParser;
}

/** A `ws` server of this adapter and the isolated gateways that were bound to it. */
export interface Endpoint {
  readonly webSocketServer: WebSocketServer;
  /** `undefined`: a gateway on its own port that takes every path. */
  readonly path: string | undefined;
  /** What the app has said about its `ws` server. */
  readonly given: Readonly<ServerOptions>;
  /** As Nest knows them: the singleton, or an object with the prototype of the instances to come. */
  readonly gateways: object[];
}

/** What takes the upgrades of isolated gateways. */
export type AcceptUpgrade = (endpoint: Endpoint, ...upgrade: Parameters<UpgradeListener>) => void;

/** The port that stands for the application's own HTTP server. */
const APPLICATION_PORT = 0;

/**
 * A drop-in for Nest's `WsAdapter`: gateways with `@IsolatedGateway` are isolated, all others behave as
 * before. The module installs it by itself; write `app.useWebSocketAdapter(new IsolatedWsAdapter(app,
 * options))` only to pass options.
 */
export class IsolatedWsAdapter extends WsAdapter {
  readonly #options: Omit<IsolatedWsAdapterOptions, 'messageParser'>;
  readonly #routers = new Map<number, UpgradeRouter>();
  readonly #ownServers: HttpServer[] = [];
  readonly #endpoints = new Map<unknown, Endpoint>();
  readonly #app: Partial<INestApplicationContext>;
  #accept: AcceptUpgrade = (_endpoint, _request, socket) => socket.destroy();

  constructor(
    appOrHttpServer?: INestApplicationContext | object,
    { messageParser, ...options }: IsolatedWsAdapterOptions = {},
  ) {
    super(appOrHttpServer, messageParser ? { messageParser: messageParser as never } : undefined);
    this.#options = options;
    this.#app = appOrHttpServer ?? {};
  }

  /** @internal The endpoints with isolated gateways. */
  get isolatedEndpoints(): Endpoint[] {
    return [...this.#endpoints.values()].filter(({ gateways }) => gateways.length > 0);
  }

  /** @internal The parser in use. */
  get parser(): MessageParser {
    return this.messageParser;
  }

  /** @internal Names the HTTP server when it was not there yet at construction. */
  useHttpServer(httpServer: () => unknown): void {
    if (this.httpServer) return;
    Object.defineProperty(this, 'httpServer', { configurable: true, get: httpServer });
  }

  /** @internal Names who takes the upgrades of isolated gateways. */
  serve(accept: AcceptUpgrade): void {
    this.#accept = accept;
  }

  override create(port: number, options: Record<string, unknown> = {}): WebSocketServer {
    const { server, namespace, path, ...serverOptions } = options;
    if (server || namespace) return super.create(port, options) as WebSocketServer;
    const merged = { ...this.#options, ...serverOptions } as ServerOptions;
    const webSocketServer = new WebSocketServer({
      handleProtocols: chooseProtocol,
      ...merged,
      noServer: true,
    });
    webSocketServer.on('error', (error) => this.logger.error(error));
    const isEveryPath = port !== APPLICATION_PORT && !path;
    const endpoint: Endpoint = {
      webSocketServer,
      path: isEveryPath ? undefined : canonicalPath(path as string | undefined),
      given: merged,
      gateways: [],
    };
    this.#endpoints.set(webSocketServer, endpoint);
    this.#routerOf(port).add(endpoint.path, (...upgrade) => {
      if (endpoint.gateways.length > 0) this.#accept(endpoint, ...upgrade);
      else this.#acceptPlain(webSocketServer, ...upgrade);
    });
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
      // Nest's handler stays unused: an isolated gateway has its own way from here on.
      endpoint.gateways.push(gateway);
    } else super.bindClientConnect(server, callback);
  }

  override async dispose(): Promise<void> {
    for (const router of this.#routers.values()) router.dispose();
    const closed = this.#ownServers.map(
      (server) =>
        new Promise<void>((resolve) => {
          server.close(() => resolve());
          server.closeAllConnections();
        }),
    );
    this.#routers.clear();
    this.#ownServers.length = 0;
    this.#endpoints.clear();
    await Promise.all(closed);
    await super.dispose();
  }

  // The module makes itself known by its options. Where the adapter was given a server only, it cannot be asked for.
  #isModuleMissing(): boolean {
    if (typeof this.#app.get !== 'function') return false;
    try {
      this.#app.get(ISOLATION_OPTIONS, { strict: false });
      return false;
    } catch {
      return true;
    }
  }

  #routerOf(port: number): UpgradeRouter {
    let router = this.#routers.get(port);
    if (!router) {
      router = new UpgradeRouter(this.#httpServerOf(port));
      this.#routers.set(port, router);
    }
    return router;
  }

  #httpServerOf(port: number): HttpServer {
    if (port === APPLICATION_PORT) return this.httpServer as HttpServer;
    const server = listenForUpgrades(port, this.logger);
    this.#ownServers.push(server);
    return server;
  }

  #acceptPlain(server: WebSocketServer, ...upgrade: Parameters<UpgradeListener>): void {
    const [request] = upgrade;
    server.handleUpgrade(...upgrade, (client: WebSocket) => {
      client.on('error', this.#logError);
      server.emit('connection', client, request);
    });
  }

  readonly #logError = (error: Error): void => this.logger.error(error);
}
