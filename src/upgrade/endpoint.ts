import type { ServerOptions, WebSocketServer } from 'ws';

import type { UpgradeListener, UpgradeRouter } from './upgrade-router.js';

/** A `ws` server of this adapter and the isolated gateways that were bound to it. */
export interface Endpoint {
  readonly webSocketServer: WebSocketServer;
  /** What brings its upgrades. */
  readonly router: UpgradeRouter;
  /** `undefined`: a gateway on its own port that takes every path that no other has. */
  readonly path: string | undefined;
  /** What the app has said about its `ws` server. */
  readonly given: Readonly<ServerOptions>;
  /** As Nest knows them: the singleton, or an object with the prototype of the instances to come. */
  readonly gateways: object[];
}

/** What takes the upgrades of isolated gateways. */
export type AcceptUpgrade = (endpoint: Endpoint, ...upgrade: Parameters<UpgradeListener>) => void;
