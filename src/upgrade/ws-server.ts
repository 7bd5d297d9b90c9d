import type { Server as HttpServer } from 'node:http';

import { type ServerOptions, WebSocketServer } from 'ws';

import type { UpgradeListener } from './upgrade-router.js';

/**
 * Empties the client list of a server whose connections have ended. `close()` waits until the list is empty. `ws`
 * removes each client by a listener on its socket, which the app may have removed together with all other listeners.
 */
export function forgetClients({ clients }: WebSocketServer): void {
  for (const client of clients ?? []) {
    client.terminate();
    clients.delete(client);
  }
}

/** Makes a `ws` server that has an address, but gets its upgrade requests from a router. */
export function serverOn(httpServer: HttpServer, given: ServerOptions): WebSocketServer {
  const { port: _port, ...options } = given;
  const webSocketServer = new WebSocketServer({ ...options, server: httpServer });
  const upgrade = httpServer.listeners('upgrade').at(-1) as UpgradeListener;
  httpServer.off('upgrade', upgrade);
  return webSocketServer;
}
