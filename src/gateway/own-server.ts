import { createServer, type Server } from 'node:http';

import type { Logger } from '@nestjs/common';

/** Where a gateway listens that does not share the application's own HTTP server. */
export interface OwnAddress {
  readonly port: number;
  /** Default: all interfaces. */
  readonly host: string | undefined;
  readonly backlog: number | undefined;
}

/**
 * How long a client may take over its upgrade request, and how often that is looked at, in milliseconds.
 * Node's own 60 s and 30 s leave half-sent requests a long time.
 */
const OWN_SERVER = { headersTimeout: 10_000, connectionsCheckingInterval: 2_000 };
/** How long a request that is on its way may take to arrive once nobody new is let in, in milliseconds. */
const LAST_REQUESTS_MS = 1_000;

/** An HTTP server that does nothing but upgrades, for a gateway on a port of its own. */
export function openOwnServer({ port, host, backlog }: OwnAddress, logger: Logger): Server {
  const server = createServer(OWN_SERVER, (_request, response) => {
    response
      .writeHead(426, { Connection: 'close', 'Content-Length': 0, Upgrade: 'websocket' })
      .end();
  });
  server.on('error', (error) => logger.error(error));
  server.listen({ port, host, backlog });
  return server;
}

/** Lets nobody new in. Who is connected already and has not asked yet gets an answer still. */
export function closeOwnServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), LAST_REQUESTS_MS);
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
  });
}
