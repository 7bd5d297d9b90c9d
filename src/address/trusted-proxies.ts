import { BlockList, isIP } from 'node:net';

import { InvalidAnswerError } from '../errors/invalid-answer.js';
import { canonicalAddress } from './ip-address.js';

/**
 * Which proxies are believed when they say for whom they forward a request:
 *
 * - a number: that many proxies stand between every client and this process;
 * - a list: the addresses and networks (`'10.0.0.0/8'`, `'fd00::/8'`) of the proxies;
 * - a function: called with an address and its distance (0: the peer of the socket); only `true` trusts it. The address
 *   is `undefined` for a peer on a Unix socket.
 */
export type TrustProxy =
  number | readonly string[] | ((address: string | undefined, hop: number) => boolean);

/** Whether the proxy at an address is believed. @param hop 0: the peer of the socket */
export type Trusts = (address: string | undefined, hop: number) => boolean;

const MOST_HOPS = 32;
const KINDS =
  "must be a number of proxies from 1 to 32, a list of addresses and networks such as '10.0.0.0/8', or a function";

/** The fault of a `trustProxy`, with what to write instead; `undefined` for a valid one. */
export function trustProxyFault(value: unknown): string | undefined {
  if (typeof value === 'function') return undefined;
  if (value === true) {
    return `${KINDS}; true would believe every client: write the number of your proxies`;
  }
  if (typeof value === 'number') {
    return Number.isInteger(value) && value >= 1 && value <= MOST_HOPS ? undefined : KINDS;
  }
  if (!Array.isArray(value)) return KINDS;
  if (value.length === 0) return `${KINDS}; the list is empty`;
  const faults = value.flatMap((entry: unknown, index) => {
    const fault = networkFault(entry);
    return fault === undefined ? [] : [`entry ${index + 1}: ${fault}`];
  });
  return faults.length === 0 ? undefined : `${KINDS}; ${faults.join('; ')}`;
}

const NETWORK = /^([^/]+)(?:\/(\d{1,3}))?$/;

function networkFault(entry: unknown): string | undefined {
  if (typeof entry !== 'string') return 'an entry must be a string';
  const [, address = '', bits] = NETWORK.exec(entry.trim()) ?? [];
  const family = isIP(address);
  if (family === 0 || address.includes('%')) {
    return `'${entry.slice(0, 64)}' is neither an address nor a network: write '192.0.2.1' or '10.0.0.0/8'`;
  }
  if (family === 6 && canonicalAddress(address)!.includes('.')) {
    return `'${entry}' is an IPv4 address in IPv6: write it as IPv4`;
  }
  return bits === undefined ? undefined : prefixFault(entry, Number(bits), family === 4 ? 32 : 128);
}

function prefixFault(entry: string, bits: number, most: number): string | undefined {
  if (bits === 0) return `'${entry}' would believe every client`;
  return bits <= most ? undefined : `'${entry}' has more than ${most} bits`;
}

/** @param failed gets the error of a function of the app, which counts as `false` */
export function trustsOf(trustProxy: TrustProxy, failed: (error: unknown) => void): Trusts {
  if (typeof trustProxy === 'number') return (_address, hop) => hop < trustProxy;
  if (typeof trustProxy === 'function') return strict(trustProxy, failed);
  const list = new BlockList();
  for (const entry of trustProxy) {
    const [, address = '', bits] = NETWORK.exec(entry.trim())!;
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return (address) =>
    address !== undefined && list.check(address, address.includes(':') ? 'ipv6' : 'ipv4');
}

function strict(given: Trusts, failed: (error: unknown) => void): Trusts {
  return (address, hop) => {
    try {
      const answer: unknown = given(address, hop);
      if (typeof answer === 'boolean') return answer;
      // The rejection of a promise that is not awaited would end the process.
      void Promise.resolve(answer).catch(() => undefined);
      failed(
        new InvalidAnswerError('The function handshake.trustProxy', 'true or false', answer, false),
      );
    } catch (error) {
      failed(error ?? new Error(`handshake.trustProxy threw ${error}`));
    }
    return false;
  };
}
