import type { AnyContract } from '../contract/contract.js';
import type { NoContract } from '../contract/message-types.js';
import type { Client } from './client.js';
import { ConnectedClient } from './connected-client.js';
import type { ClientOptions } from './options.js';

/**
 * Connects to a gateway, and keeps connecting: see the guide on the client.
 *
 * @example
 * ```ts
 * const client = connect('wss://app.example.com/chat', { token: () => session.token() });
 * client.on('said', ({ text }) => show(text));
 * client.send('say', { text: 'hello' });
 * ```
 *
 * @param url `ws:`, `wss:`, `http:` or `https:`; in a page, also one that is relative to the page
 * @throws {TypeError | RangeError} for a URL or an option that is not valid, and where there is no `WebSocket`
 */
export function connect<C extends AnyContract = NoContract>(
  url: string | URL,
  options: ClientOptions<C> = {},
): Client<C> {
  // The contract is for the compiler: to the parts of the client, an event is any text.
  return new ConnectedClient(absolute(url), options) as Client;
}

/** The address to connect to. @throws {TypeError} for a URL that is not valid */
export function absolute(url: string | URL): URL {
  const { location } = globalThis as { location?: { readonly href: string } };
  const full = new URL(url, location?.href);
  full.protocol = full.protocol.replace('http', 'ws');
  return full;
}
