import { WebSocket } from 'ws';

import { connectChecked } from '../checked/connect-checked.js';
import type { Client } from '../client/client.js';
import { connect } from '../client/connect.js';
import type { ClientOptions, WebSocketClass } from '../client/options.js';
import type { ConnectionIdentity } from '../context/connection-identity.js';
import type { AnyContract } from '../contract/contract.js';
import type { NoContract } from '../contract/message-types.js';
import { announce } from './test-authenticator.js';

/** Options of `app.client()`: those of `connect()`, and what a browser would send by itself. */
export interface AppClientOptions<C extends AnyContract = NoContract> extends ClientOptions<C> {
  /** Headers of the upgrade request, such as a cookie. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The origin of the page. */
  readonly origin?: string;
  /** Who connects, and comes back. The app's authenticator has to be {@link TestAuthenticator}. */
  readonly identity?: ConnectionIdentity;
}

/** Connects the client of this package over `ws`. With a contract, it checks all data. */
export function clientOf<C extends AnyContract>(
  url: string,
  { headers = {}, origin, identity, ...options }: AppClientOptions<C>,
): Client<C> {
  const ticket = identity && announce(identity);
  const upgrade = {
    headers: { ...headers, ...ticket?.headers },
    ...(origin !== undefined && { origin }),
  };
  class UpgradingWebSocket extends WebSocket {
    constructor(address: string, protocols: string[]) {
      super(address, protocols, upgrade);
    }
  }
  const full = { WebSocket: UpgradingWebSocket as WebSocketClass, ...options };
  const { contract } = full;
  const client = contract ? connectChecked(url, { ...full, contract }) : connect<C>(url, full);
  client.onState(({ state }) => {
    if (state === 'closed') ticket?.withdraw();
  });
  return client;
}
