import { BlockList, isIP } from 'node:net';

import type { PageRequest } from './page-request.js';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

const FORWARDING = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via'];

/**
 * Whether a request was made on this machine: the socket has a loopback address, no proxy is in between, and the host
 * name is `localhost` or a loopback address. The host name of a page of another site that uses DNS rebinding is
 * neither.
 */
export function isFromThisMachine({ headers, socket }: PageRequest): boolean {
  if (FORWARDING.some((name) => headers[name] !== undefined)) return false;
  return isLoopback(socket.remoteAddress ?? '') && isLoopbackHost(headers.host ?? '');
}

function isLoopback(address: string): boolean {
  const family = isIP(address);
  // BlockList also recognises IPv4-mapped addresses such as `::ffff:127.0.0.1`.
  return family !== 0 && loopback.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

function isLoopbackHost(host: string): boolean {
  if (!URL.canParse(`http://${host}`)) return false;
  const { hostname } = new URL(`http://${host}`);
  const name = hostname.replace(/^\[|\]$/g, '');
  return name === 'localhost' || isLoopback(name);
}
