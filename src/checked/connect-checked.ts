import type { Client } from '../client/client.js';
import { absolute } from '../client/connect.js';
import type { ClientOptions } from '../client/options.js';
import { type AnyContract, isContract } from '../contract/contract.js';
import { CheckedClient } from './checked-client.js';

/** Options of `connectChecked()`: those of `connect()`, with a contract. */
export interface CheckedClientOptions<C extends AnyContract> extends ClientOptions<C> {
  readonly contract: C;
}

/**
 * Connects as `connect()` does, and checks all data against the contract, also at run time. Listeners, promises and
 * loops get what the schemas make of the data. What does not fit does not reach them:
 *
 * - a message of the server is reported to `onError()` as `UNEXPECTED_DATA`; a reply rejects with it, an item ends its
 *   stream, and a question is answered with it;
 * - data of the app is not sent: `send()` throws `INVALID_PAYLOAD`, `request()` and `stream()` reject with it.
 *
 * The `data` of such a {@link ClientError} has the `issues`, each with `path` and `message`.
 *
 * @throws {TypeError | RangeError} as `connect()`, and for a contract that `defineContract()` has not made
 */
export function connectChecked<C extends AnyContract>(
  url: string | URL,
  options: CheckedClientOptions<C>,
): Client<C> {
  const { contract } = options;
  if (!isContract(contract)) {
    throw new TypeError('contract: expected what defineContract() returns.');
  }
  return new CheckedClient(absolute(url), options, contract) as Client as Client<C>;
}
