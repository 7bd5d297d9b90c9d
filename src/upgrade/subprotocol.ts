/** Names of subprotocols are not longer than this; a longer text is taken for a token. */
const LONGEST_NAME = 32;

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
    if (name.length > LONGEST_NAME) continue;
    if (!credentialPrefixes.some((prefix) => name.startsWith(prefix))) return name;
  }
  return false;
}
