import { isIPv4, isIPv6 } from 'node:net';

/** Where an address belongs, in few words: for counters, which must not have a series for each address. */
export type AddressClass = 'loopback' | 'private' | 'ipv4' | 'ipv6' | 'unknown';

/** All address classes. */
export const ADDRESS_CLASSES: readonly AddressClass[] = Object.freeze([
  'loopback',
  'private',
  'ipv4',
  'ipv6',
  'unknown',
]);

/** Groups of 16 bits in an IPv6 address. */
const GROUPS = 8;
/** Groups of the /64 that one customer of a provider gets at least, and within which a client picks any address. */
const CUSTOMER_GROUPS = 4;
/** Groups of the /48 that is left of a masked address. */
const MASKED_GROUPS = 3;

// 10/8, 192.168/16, 169.254/16, 172.16/12 and 100.64/10.
const PRIVATE_IPV4 =
  /^(?:10|192\.168|169\.254|172\.(?:1[6-9]|2\d|3[01])|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\./;
// fc00::/7 and fe80::/10.
const PRIVATE_IPV6 = /^f(?:[cd]|e[89ab])[\da-f]{0,2}:/;

/**
 * One text for each address: an IPv4 address, also one that is written as IPv6 (`::ffff:192.0.2.1`), as `192.0.2.1`; any
 * other IPv6 address as RFC 5952 writes it, without a zone. `undefined` for a text that is no address.
 */
export function canonicalAddress(text: string | undefined): string | undefined {
  if (text === undefined || isIPv4(text)) return text;
  if (!isIPv6(text)) return undefined;
  const groups = groupsOf(text);
  return isMapped(groups) ? dotted(groups[6]!, groups[7]!) : compressed(groups);
}

/**
 * What counts as one client: an IPv4 address, or the /64 of an IPv6 address.
 *
 * @param address canonical
 */
export function clientNetwork(address: string): string {
  if (!address.includes(':')) return address;
  return `${hex(groupsOf(address).slice(0, CUSTOMER_GROUPS))}::/64`;
}

/**
 * An address without the part that tells apart the people of one network: `192.0.2.0/24`, `2001:db8:1::/48`.
 *
 * @param address canonical
 */
export function maskedAddress(address: string): string {
  if (!address.includes(':')) return `${address.slice(0, address.lastIndexOf('.'))}.0/24`;
  const groups = groupsOf(address).fill(0, MASKED_GROUPS);
  return `${compressed(groups)}/48`;
}

/** @param address canonical */
export function addressClass(address: string | undefined): AddressClass {
  if (address === undefined) return 'unknown';
  if (address.includes(':')) {
    if (address === '::1') return 'loopback';
    return PRIVATE_IPV6.test(address) ? 'private' : 'ipv6';
  }
  if (address.startsWith('127.')) return 'loopback';
  return PRIVATE_IPV4.test(address) ? 'private' : 'ipv4';
}

function groupsOf(text: string): number[] {
  const [address = ''] = text.split('%', 1);
  const [head = '', tail] = address.split('::');
  const left = numbersOf(head);
  const right = numbersOf(tail ?? '');
  const zeros = Array.from({ length: GROUPS - left.length - right.length }, () => 0);
  return [...left, ...zeros, ...right];
}

function numbersOf(part: string): number[] {
  if (part === '') return [];
  return part.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}

function isMapped(groups: readonly number[]): boolean {
  return groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0);
}

function dotted(high: number, low: number): string {
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

function hex(groups: readonly number[]): string {
  return groups.map((group) => group.toString(16)).join(':');
}

// The longest run of two or more zeros becomes `::`; of two equal runs, the first.
function compressed(groups: readonly number[]): string {
  let [start, length] = [-1, 1];
  for (let from = 0; from < GROUPS; from += 1) {
    let to = from;
    while (to < GROUPS && groups[to] === 0) to += 1;
    if (to - from > length) [start, length] = [from, to - from];
    from = to;
  }
  if (start === -1) return hex(groups);
  return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}
