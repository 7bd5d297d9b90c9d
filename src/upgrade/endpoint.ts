import type { ServerOptions, WebSocketServer } from 'ws';

import type { UpgradeListener, UpgradeRouter } from './upgrade-router.js';

/** A `ws` server of this adapter and the isolated gateways that were bound to it. */
export interface Endpoint {
  readonly webSocketServer: WebSocketServer;
  /** Passes upgrade requests to the server. */
  readonly router: UpgradeRouter;
  /** `undefined` for a gateway on its own port that takes every path that no other gateway has. */
  readonly path: string | undefined;
  /** The options that the app has given for its `ws` server. */
  readonly given: Readonly<ServerOptions>;
  /** The objects that Nest binds: the singleton, or an object with the prototype of the instances per connection. */
  readonly gateways: object[];
}

/** Takes an upgrade request of isolated gateways. */
export type AcceptUpgrade = (endpoint: Endpoint, ...upgrade: Parameters<UpgradeListener>) => void;
