/** Names of subprotocols are shorter; what is longer is a token. */
const LONGEST_NAME = 32;

/**
 * Which of the offered subprotocols to answer with, where the app does not choose: the first that is no credential.
 * Browsers can send a token only there, as in `new WebSocket(url, ['chat', token])`, and a token must not appear in
 * a reply.
 *
 * @param credentialPrefixes what names that are credentials begin with
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
