import type { Server as HttpServer } from 'node:http';

import { type ServerOptions, WebSocketServer } from 'ws';

import type { UpgradeListener } from './upgrade-router.js';

/**
 * Empties the list of a server whose connections have ended. `close()` waits for all that are in it, and takes them out
 * by a listener on each, which an app may have removed with all others.
 */
export function forgetClients({ clients }: WebSocketServer): void {
  for (const client of clients ?? []) {
    client.terminate();
    clients.delete(client);
  }
}

/** A server that knows where it listens, and yet gets its upgrades from a router. */
export function serverOn(httpServer: HttpServer, given: ServerOptions): WebSocketServer {
  const { port: _port, ...options } = given;
  const webSocketServer = new WebSocketServer({ ...options, server: httpServer });
  const upgrade = httpServer.listeners('upgrade').at(-1) as UpgradeListener;
  httpServer.off('upgrade', upgrade);
  return webSocketServer;
}
