import type { Codec } from '../wire/codecs.js';
import type { OptionFault } from './option-faults.js';

/** Names of subprotocols are not longer than this; a longer text is taken for a token. */
export const LONGEST_SUBPROTOCOL = 32;
/** The names that a request may offer: RFC 6455, section 4.1. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** The codecs of the option `codec`, and what is wrong with them. */
export function codecsOf(
  given: unknown,
  credentialPrefixes: readonly string[],
): { readonly codecs: readonly Codec[] | undefined; readonly faults: OptionFault[] } {
  if (given === undefined) return { codecs: undefined, faults: [] };
  const codecs = Array.isArray(given) ? (given as unknown[]) : [given];
  const seen = new Set<string>();
  const faults = codecs.flatMap((codec, index): OptionFault[] => {
    const rule = ruleBroken(codec, credentialPrefixes, seen);
    const option = Array.isArray(given) ? `codec.${index}` : 'codec';
    return rule === undefined ? [] : [{ option, value: codec, rule }];
  });
  return { codecs: codecs.length > 0 ? (codecs as Codec[]) : undefined, faults };
}

function ruleBroken(
  codec: unknown,
  credentialPrefixes: readonly string[],
  seen: Set<string>,
): string | undefined {
  const { subprotocol, encode, decode } = (codec ?? {}) as Partial<Record<keyof Codec, unknown>>;
  if (typeof encode !== 'function' || typeof decode !== 'function') {
    return 'must be a codec: { subprotocol, encode, decode }, or a list of them';
  }
  if (typeof subprotocol !== 'string' || !TOKEN.test(subprotocol)) {
    return 'must have a subprotocol that a request can offer: letters, digits, and none of ( ) < > @ , ; : " / [ ] ? = { } or space';
  }
  if (subprotocol.length > LONGEST_SUBPROTOCOL) {
    return `must have a subprotocol of at most ${LONGEST_SUBPROTOCOL} characters: a longer one is taken for a credential`;
  }
  if (credentialPrefixes.some((prefix) => subprotocol.startsWith(prefix))) {
    return 'must have a subprotocol that handshake.credentialProtocols does not take for a credential';
  }
  if (seen.has(subprotocol)) return `is the second codec for '${subprotocol}'`;
  seen.add(subprotocol);
  return undefined;
}
