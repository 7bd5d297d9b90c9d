import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';

import { asksForWebSocket, serveWithoutUpgrade } from './other-upgrades.js';
import type { PathPattern } from './path-pattern.js';
import { PathRoutes } from './path-routes.js';
import { requestPath } from './upgrade-path.js';

export type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

// The listeners of all routers of this process: applications may share an HTTP server.
const routers = new WeakSet<object>();
// Requests that a router has taken on a server with other `upgrade` listeners.
const taken = new WeakSet<IncomingMessage>();

/**
 * Passes the upgrade requests of one HTTP server to the endpoint that has their path. Requests with an unknown path are
 * left to the other listeners of the server; if there are none, the router itself responds.
 */
export class UpgradeRouter {
  readonly #routes = new PathRoutes<UpgradeListener>();
  #everyOtherPath: UpgradeListener | undefined = undefined;

  constructor(readonly httpServer: Server) {
    httpServer.on('upgrade', this.#route);
    routers.add(this.#route);
  }

  /** @param path `undefined`: every path that no other endpoint of this router has */
  add(path: string | undefined, accept: UpgradeListener): void {
    if (path === undefined) this.#everyOtherPath = accept;
    else this.#routes.add(path, accept);
  }

  /** From now on, requests for all paths that fit the pattern go to the endpoint that was added with its path. */
  turnIntoPattern(pattern: PathPattern): void {
    this.#routes.turnIntoPattern(pattern);
  }

  /** Removes the router from its server. */
  dispose(): void {
    this.httpServer.off('upgrade', this.#route);
    this.#routes.clear();
    this.#everyOtherPath = undefined;
  }

  readonly #route: UpgradeListener = (request, socket, head) => {
    const isAlone = this.httpServer.listenerCount('upgrade') === 1;
    if (!isAlone && taken.has(request)) return;
    const accept = asksForWebSocket(request) ? this.#listenerAt(request) : undefined;
    if (accept) {
      if (!isAlone) taken.add(request);
      // From here on the socket may fail at any time: an `error` event without a listener would end the process.
      socket.on('error', ignore);
      accept(request, socket, head);
    } else if (isAlone || this.#isLastOfOurs()) {
      this.#leave(request, socket, head);
    }
  };

  #listenerAt({ url }: IncomingMessage): UpgradeListener | undefined {
    const path = requestPath(url);
    return path === undefined ? undefined : (this.#routes.find(path) ?? this.#everyOtherPath);
  }

  #leave(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (!asksForWebSocket(request)) {
      serveWithoutUpgrade(this.httpServer, request, socket, head);
      return;
    }
    socket.on('error', ignore);
    const isPath = requestPath(request.url) !== undefined;
    answer(socket, isPath ? '404 Not Found' : '400 Bad Request');
  }

  // All `upgrade` listeners are routers, and this router is the last of them.
  #isLastOfOurs(): boolean {
    const listeners = this.httpServer.listeners('upgrade');
    return listeners.at(-1) === this.#route && listeners.every((listener) => routers.has(listener));
  }
}

/** Writes a last HTTP response without a body, and ends the socket. */
export function answer(socket: Duplex, statusLine: string): void {
  endWith(socket, `HTTP/1.1 ${statusLine}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

/** Writes a last text to a socket, and ends the socket. */
export function endWith(socket: Duplex, text: string): void {
  // Without this, a peer that never closes its side would keep the socket open.
  socket.once('finish', () => socket.destroy());
  socket.end(text);
}

/** The socket has a new owner that listens for its errors, so it needs no further listener. */
export function leaveErrors(socket: Duplex): void {
  socket.off('error', ignore);
}

function ignore(): void {
  // The socket's `close` event reports the failure.
}
