import { createServer, type Server } from 'node:http';

import type { Logger } from '@nestjs/common';

import { IsolationError } from '../errors/isolation-error.js';

/** The address of a gateway that does not share the application's own HTTP server. */
export interface OwnAddress {
  readonly port: number;
  /** Default: all interfaces. */
  readonly host: string | undefined;
  readonly backlog: number | undefined;
}

/**
 * How long a client may take to send its upgrade request, and how often that is checked, in milliseconds. Node's
 * defaults of 60 s and 30 s keep half-sent requests open for a long time.
 */
const OWN_SERVER = { headersTimeout: 10_000, connectionsCheckingInterval: 2_000 };
/** How long a request on its way may take to arrive after the port has closed, in milliseconds. */
const LAST_REQUESTS_MS = 1_000;

/** An HTTP server that only takes upgrade requests, for a gateway on a port of its own. */
export class OwnServer {
  readonly http: Server;
  /** Rejects with {@link IsolationError} `PORT_UNAVAILABLE` when the server cannot listen on its address. */
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
      // The application may close while it starts.
      this.http.once('close', resolve);
      this.http.once('error', (error) => reject(portUnavailable(address, error)));
    });
    // An application without the module does not await this promise; the error is logged above.
    this.listening.catch(() => undefined);
    this.http.listen(address);
  }

  /** Accepts no new connection. A client that is connected but has not sent its request yet still gets a response. */
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
