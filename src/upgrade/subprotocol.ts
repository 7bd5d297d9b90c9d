import { LONGEST_SUBPROTOCOL } from '../config/codec-option.js';

/**
 * Chooses the subprotocol of the response, if the app does not: the first offered one that is no credential. Browsers
 * can send a token only as a subprotocol, as in `new WebSocket(url, ['chat', token])`, and a token must not appear in a
 * response.
 *
 * @param credentialPrefixes prefixes of names that are credentials
 */
export function chooseProtocol(
  offered: Iterable<string>,
  credentialPrefixes: readonly string[],
): string | false {
  for (const name of offered) {
    if (name.length > LONGEST_SUBPROTOCOL) continue;
    if (!credentialPrefixes.some((prefix) => name.startsWith(prefix))) return name;
  }
  return false;
}
