import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';

import { asksForWebSocket, serveWithoutUpgrade } from './other-upgrades.js';
import { requestPath } from './upgrade-path.js';

export type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

// The listeners of all routers of this process: applications may share an HTTP server.
const routers = new WeakSet<object>();
// What a router has taken where others listen as well.
const taken = new WeakSet<IncomingMessage>();

/**
 * Hands the upgrade requests of one HTTP server to whoever has their path. Paths nobody here knows are
 * left to the other listeners of the server; where there are none, the client gets an answer.
 */
export class UpgradeRouter {
  readonly #routes = new Map<string, UpgradeListener>();
  #everyOtherPath: UpgradeListener | undefined = undefined;

  constructor(readonly httpServer: Server) {
    httpServer.on('upgrade', this.#route);
    routers.add(this.#route);
  }

  /** @param path `undefined`: every path that nobody else has */
  add(path: string | undefined, accept: UpgradeListener): void {
    if (path === undefined) this.#everyOtherPath = accept;
    else this.#routes.set(path, accept);
  }

  /** Takes the router off its server. */
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
      // Whatever happens to the client from here on: an error without a listener would end the process.
      socket.on('error', ignore);
      accept(request, socket, head);
    } else if (isAlone || this.#isLastOfOurs()) {
      this.#leave(request, socket, head);
    }
  };

  #listenerAt({ url }: IncomingMessage): UpgradeListener | undefined {
    const path = requestPath(url);
    return path === undefined ? undefined : (this.#routes.get(path) ?? this.#everyOtherPath);
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

  // Nobody but routers listens, and all others have been asked.
  #isLastOfOurs(): boolean {
    const listeners = this.httpServer.listeners('upgrade');
    return listeners.at(-1) === this.#route && listeners.every((listener) => routers.has(listener));
  }
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
