import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Duplex } from 'node:stream';

import type { Logger } from '@nestjs/common';

import { requestPath } from './upgrade-path.js';

export type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** Where upgrades of one path go. */
interface Route {
  /** `undefined`: every path. */
  readonly path: string | undefined;
  readonly accept: UpgradeListener;
}

/**
 * Hands the upgrade requests of one HTTP server to whoever has their path. Paths nobody here knows are
 * left to the other listeners of the server; where there are none, the client gets an answer.
 */
export class UpgradeRouter {
  readonly #routes: Route[] = [];

  constructor(private readonly httpServer: Server) {
    httpServer.on('upgrade', this.#route);
  }

  add(path: string | undefined, accept: UpgradeListener): void {
    this.#routes.push({ path, accept });
  }

  /** Takes the router off its server. */
  dispose(): void {
    this.httpServer.off('upgrade', this.#route);
    this.#routes.length = 0;
  }

  #routeOf(path: string): Route | undefined {
    return this.#routes.find((route) => route.path === undefined || route.path === path);
  }

  readonly #route: UpgradeListener = (request, socket, head) => {
    const path = requestPath(request.url);
    const route = path === undefined ? undefined : this.#routeOf(path);
    if (route) {
      // Whatever happens to the client from here on: an error without a listener would end the process.
      socket.on('error', ignore);
      route.accept(request, socket, head);
    } else if (this.httpServer.listenerCount('upgrade') === 1) {
      socket.on('error', ignore);
      answer(socket, path === undefined ? '400 Bad Request' : '404 Not Found');
    }
  };
}

/**
 * How long a client may take over its upgrade request, and how often that is looked at, in milliseconds.
 * Node's own 60 s and 30 s leave half-sent requests a long time.
 */
const OWN_SERVER = { headersTimeout: 10_000, connectionsCheckingInterval: 2_000 };

/** An HTTP server that does nothing but upgrades, for a gateway on a port of its own. */
export function listenForUpgrades(port: number, logger: Logger): Server {
  const server = createServer(OWN_SERVER, (_request, response) => {
    response
      .writeHead(426, { Connection: 'close', 'Content-Length': 0, Upgrade: 'websocket' })
      .end();
  });
  server.on('error', (error) => logger.error(error));
  server.listen(port);
  return server;
}

/** Writes a last HTTP answer and lets the socket go. */
export function answer(socket: Duplex, statusLine: string): void {
  endWith(socket, `HTTP/1.1 ${statusLine}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

/** Writes the last thing a socket is to carry. */
export function endWith(socket: Duplex, text: string): void {
  // Without this, a peer that never closes its half would keep the socket.
  socket.once('finish', () => socket.destroy());
  socket.end(text);
}

function ignore(): void {
  // Said by the socket's close already.
}
