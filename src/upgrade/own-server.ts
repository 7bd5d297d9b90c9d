import { createServer, type Server } from 'node:http';

import type { Logger } from '@nestjs/common';

import { IsolationError } from '../errors/isolation-error.js';

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
export class OwnServer {
  readonly http: Server;
  /** Rejects with {@link IsolationError} `PORT_UNAVAILABLE` when it cannot listen where it is to. */
  readonly listening: Promise<void>;

  constructor(address: OwnAddress, logger: Logger) {
    this.http = createServer(OWN_SERVER, (_request, response) => {
      response
        .writeHead(426, { Connection: 'close', 'Content-Length': 0, Upgrade: 'websocket' })
        .end();
    });
    this.http.on('error', (error) => logger.error(error));
    this.listening = new Promise((resolve, reject) => {
      this.http.once('listening', resolve);
      // The application closes while it starts.
      this.http.once('close', resolve);
      this.http.once('error', (error) => reject(portUnavailable(address, error)));
    });
    // An application without the module does not wait for it, and has the line in the log.
    this.listening.catch(() => undefined);
    this.http.listen(address);
  }

  /** Lets no new client in. A client that is connected already and has not asked yet still gets an answer. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      const cut = setTimeout(() => this.http.closeAllConnections(), LAST_REQUESTS_MS);
      this.http.close(() => {
        clearTimeout(cut);
        resolve();
      });
    });
  }
}

function portUnavailable({ port, host }: OwnAddress, cause: Error): IsolationError {
  const where = host === undefined ? `port ${port}` : `port ${port} of host '${host}'`;
  return new IsolationError(
    'PORT_UNAVAILABLE',
    `A gateway has ${where} of its own and cannot listen there: ${cause.message}. ` +
      'Stop what listens there, or write another port or host on the gateway.',
    { cause },
  );
}
