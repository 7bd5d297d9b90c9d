import { isIPv4, isIPv6 } from 'node:net';

import { canonicalAddress } from './ip-address.js';

/** What a proxy says about whom it forwards for: an address, that it will not say, or nothing that can be read. */
export type ForwardedNode = { readonly address: string } | 'hidden' | 'malformed';

/** The nodes of a header, the nearest first: each call returns the next one, and `undefined` after the last. */
export type NextNode = () => ForwardedNode | undefined;

const PORT = String.raw`(?::(?:\d{1,5}|_[\w.-]+))?`;
const IPV4 = new RegExp(`^([\\d.]+)${PORT}$`);
const IPV6 = new RegExp(String.raw`^\[([\da-f:.]+)\]${PORT}$`, 'i');
/** RFC 7239, section 6: `unknown`, and identifiers that a proxy makes up. */
const HIDDEN = new RegExp(String.raw`^(?:unknown|_[\w.-]+)${PORT}$`, 'i');

/** Reads `X-Forwarded-For`: addresses, the client's first. Only as much of it is read as is asked for. */
export function forwardedFor(header: string): NextNode {
  let end = header.length;
  return () => {
    while (end > 0) {
      const comma = header.lastIndexOf(',', end - 1);
      const entry = header.slice(comma + 1, end).trim();
      end = comma;
      if (entry !== '') return isIPv6(entry) ? addressNode(entry) : nodeOf(entry);
    }
    return undefined;
  };
}

/** Reads `Forwarded` (RFC 7239); `undefined` where its grammar is broken, since then no part of it can be told apart. */
export function forwarded(header: string): NextNode | undefined {
  const values = forValues(header);
  return values && (() => (values.length > 0 ? nodeOf(values.pop()!) : undefined));
}

function nodeOf(text: string): ForwardedNode {
  const [, ipv4] = IPV4.exec(text) ?? [];
  if (ipv4 !== undefined) return isIPv4(ipv4) ? { address: ipv4 } : 'malformed';
  const [, ipv6] = IPV6.exec(text) ?? [];
  if (ipv6 !== undefined) return isIPv6(ipv6) ? addressNode(ipv6) : 'malformed';
  return HIDDEN.test(text) ? 'hidden' : 'malformed';
}

// A zone, as in `fe80::1%eth0`, means nothing outside of the machine that wrote it.
function addressNode(text: string): ForwardedNode {
  return text.includes('%') ? 'malformed' : { address: canonicalAddress(text)! };
}

// One pair, with the blanks around it: a token, `=`, and a token or a quoted string. No part can match in two ways, so
// that the time is linear in the length of the header.
const PAIR = /[ \t]*([!#$%&'*+.^_`|~\w-]+)=(?:([!#$%&'*+.^_`|~\w-]+)|"((?:[^"\\]|\\.)*)")[ \t]*/y;
const BLANKS = /[ \t]*/y;

/** One element: what one proxy says. */
interface Element {
  /** Index of the comma after it, or the length of the header. */
  readonly end: number;
  /** An element without a pair counts for nothing. */
  readonly isEmpty: boolean;
  /** The values of `for`: one at most, in a valid element. */
  readonly nodes: readonly string[];
}

// The values of `for`, the client's first; '' for an element that has none.
function forValues(header: string): string[] | undefined {
  const values: string[] = [];
  for (let at = 0; at <= header.length;) {
    const element = elementAt(header, at);
    if (!element || element.nodes.length > 1) return undefined;
    if (!element.isEmpty) values.push(element.nodes[0] ?? '');
    at = element.end + 1;
  }
  return values;
}

function elementAt(header: string, start: number): Element | undefined {
  const nodes: string[] = [];
  let [at, isEmpty] = [start, true];
  for (;;) {
    const pair = matchAt(PAIR, header, at);
    if (pair) {
      isEmpty = false;
      nodes.push(...nodesOf(pair));
    }
    at += (pair ?? matchAt(BLANKS, header, at)!)[0].length;
    if (at === header.length || header[at] === ',') return { end: at, isEmpty, nodes };
    if (header[at] !== ';') return undefined;
    at += 1;
  }
}

function nodesOf([, name = '', token, quoted = '']: RegExpExecArray): string[] {
  return name.toLowerCase() === 'for' ? [token ?? quoted.replaceAll(/\\(.)/g, '$1')] : [];
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}
