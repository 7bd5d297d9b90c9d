import { isDeepStrictEqual } from 'node:util';

import { Logger } from '@nestjs/common';

import { IsolationError } from '../errors/isolation-error.js';
import {
  GATEWAY_METADATA,
  GATEWAY_OPTIONS,
  type NestInternals,
  PORT_METADATA,
} from '../nest/nest-internals.js';
import { isIsolatedGateway } from './isolated-gateway.decorator.js';
import { pathFault, PathPattern } from './path-pattern.js';
import { canonicalPath } from './upgrade-path.js';

/** The address of a gateway, from its decorator. */
interface GatewayAddress {
  readonly name: string;
  readonly port: number;
  readonly path: string | undefined;
  /** If it is the path of an isolated gateway and has parameters. */
  readonly pattern: PathPattern | undefined;
  readonly options: Readonly<Record<string, unknown>>;
}

/**
 * Checks the addresses of all gateways of the application, plain gateways included, before any of them listens.
 *
 * @throws {IsolationError} `NAMESPACE_UNSUPPORTED`; `PATH_PATTERN`: a path is a pattern of another kind than `/room/:room`; `PATH_AMBIGUOUS`: a
 * client could mean either of two gateways; `GATEWAY_HOSTS_DIFFER`: two gateways share a port but not the host, so that
 * one of them would be reachable on a host that its decorator does not name
 */
export function assertAddressesFit(internals: NestInternals): void {
  const addresses = internals
    .providersWhere(isGateway)
    .map(({ metatype, name }) => addressOf(metatype as object, String(name)));
  assertUnambiguous(addresses);
  const [ports, servers] = [new Map<number, GatewayAddress>(), new Map<string, GatewayAddress>()];
  for (const address of addresses) {
    const { port, path } = address;
    const ofPort = firstOf(ports, port, address);
    // Port 0 stands for the application's own port, whose host is an argument of `app.listen()`.
    if (port !== 0 && ofPort.options['host'] !== address.options['host']) {
      throw hostsDiffer(ofPort, address);
    }
    const isEveryPath = port !== 0 && !path;
    const server = `${port} ${isEveryPath ? '*' : canonicalPath(path)}`;
    warnOfLostOptions(firstOf(servers, server, address), address);
  }
}

function isGateway(type: unknown): boolean {
  return typeof type === 'function' && Reflect.hasMetadata(GATEWAY_METADATA, type);
}

function addressOf(type: object, name: string): GatewayAddress {
  const { path, ...options } = (Reflect.getMetadata(GATEWAY_OPTIONS, type) ?? {}) as Readonly<
    Record<string, unknown>
  > & { readonly path?: string };
  const port = (Reflect.getMetadata(PORT_METADATA, type) ?? 0) as number;
  if (!isIsolatedGateway(type)) return { name, port, path, pattern: undefined, options };
  assertNoNamespace(options['namespace'], name);
  assertSupportedPath(path, name);
  return { name, port, path, pattern: PathPattern.in(canonicalPath(path)), options };
}

function firstOf<K>(known: Map<K, GatewayAddress>, key: K, address: GatewayAddress) {
  const first = known.get(key) ?? address;
  known.set(key, first);
  return first;
}

// A namespace is part of the protocol of Socket.IO. On plain WebSocket, the path of the URL takes its place.
function assertNoNamespace(namespace: unknown, name: string): void {
  if (namespace === undefined || namespace === '') return;
  const isName = typeof namespace === 'string';
  const path = isName ? `/${namespace.replace(/^\/+/, '')}` : '/tenant/:tenant';
  throw new IsolationError(
    'NAMESPACE_UNSUPPORTED',
    `${name} has the namespace ${isName ? `'${namespace}'` : String(namespace)}, and plain WebSocket has no namespaces: ` +
      `a path takes their place. Write @IsolatedGateway({ path: '${path}' }), and let clients connect with ` +
      `new WebSocket('wss://…${isName ? path : '/tenant/acme'}').`,
  );
}

function assertSupportedPath(path: string | undefined, name: string): void {
  const fault = path === undefined ? undefined : pathFault(path);
  if (fault === undefined) return;
  throw new IsolationError(
    'PATH_PATTERN',
    `The path '${path}' of ${name} ${fault}. The path of a gateway is literal, except for parameters that take the ` +
      "place of a whole segment, each with a name of its own. Write @IsolatedGateway({ path: '/room/:room' }), let " +
      'clients put what is optional into the query (/room/42?since=7), and read it from ConnectionRequest.query.',
  );
}

function assertUnambiguous(addresses: readonly GatewayAddress[]): void {
  const withPattern = addresses.filter(({ pattern }) => pattern !== undefined);
  for (const [index, first] of withPattern.entries()) {
    for (const second of withPattern.slice(index + 1)) {
      // Gateways with the same path share its connections.
      if (first.port !== second.port || first.pattern!.path === second.pattern!.path) continue;
      const meeting = first.pattern!.ambiguousWith(second.pattern!);
      if (meeting !== undefined) throw ambiguous(first, second, meeting);
    }
  }
}

function ambiguous(first: GatewayAddress, second: GatewayAddress, meeting: string): IsolationError {
  return new IsolationError(
    'PATH_AMBIGUOUS',
    `${first.name} has the path '${first.path}' and ${second.name} the path '${second.path}', and a client at ` +
      `'${meeting}' could mean either, because neither path is the more literal one. ` +
      'Write the same path on both, name for name, if they share their connections. Otherwise give one of them ' +
      'another literal segment.',
  );
}

function hostsDiffer(first: GatewayAddress, second: GatewayAddress): IsolationError {
  const hostOf = ({ options }: GatewayAddress): string =>
    options['host'] === undefined ? 'all interfaces' : `host '${String(options['host'])}'`;
  return new IsolationError(
    'GATEWAY_HOSTS_DIFFER',
    `${first.name} and ${second.name} share port ${second.port}, but ${first.name} listens on ${hostOf(first)} and ` +
      `${second.name} on ${hostOf(second)}. Write the same \`host\` on both, or give one of them another port.`,
  );
}

// Gateways on one path share a server, and the server is made with the options of one gateway.
function warnOfLostOptions(first: GatewayAddress, second: GatewayAddress): void {
  const names = [...new Set([...Object.keys(first.options), ...Object.keys(second.options)])];
  const lost = names.filter(
    (name) => !isDeepStrictEqual(first.options[name], second.options[name]),
  );
  if (lost.length === 0) return;
  new Logger('WebSocketIsolation').warn(
    `${first.name} and ${second.name} share one WebSocket server, but give it different options: ` +
      `${lost.join(', ')}. The options of ${first.name} apply to both. Write the same options on both.`,
  );
}
