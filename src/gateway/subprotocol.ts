const LONGEST_NAME = 32;

/**
 * Which of the offered subprotocols to answer with, where the app does not choose: the first of several.
 * A single one is never echoed, nor a long one: browsers can send a token only there, as in
 * `new WebSocket(url, ['bearer', token])`, and a token must not appear in a reply.
 */
export function chooseProtocol(offered: Set<string>): string | false {
  if (offered.size < 2) return false;
  const [first] = offered;
  return first !== undefined && first.length <= LONGEST_NAME ? first : false;
}
