import { isDeepStrictEqual } from 'node:util';

import { Logger } from '@nestjs/common';

import { IsolationError } from '../errors/isolation-error.js';
import {
  GATEWAY_METADATA,
  GATEWAY_OPTIONS,
  type NestInternals,
  PORT_METADATA,
} from '../nest/nest-internals.js';
import { assertLiteralPath } from './boot-check.js';
import { isIsolatedGateway } from './isolated-gateway.decorator.js';
import { canonicalPath } from './upgrade-path.js';

/** The address of a gateway, from its decorator. */
interface GatewayAddress {
  readonly name: string;
  readonly port: number;
  readonly path: string | undefined;
  readonly options: Readonly<Record<string, unknown>>;
}

/**
 * Checks the addresses of all gateways of the application, plain gateways included, before any of them listens.
 *
 * @throws {IsolationError} `PATH_PATTERN`; `GATEWAY_HOSTS_DIFFER`: two gateways share a port but not the host, so that
 * one of them would be reachable on a host that its decorator does not name
 */
export function assertAddressesFit(internals: NestInternals): void {
  const addresses = internals.providersWhere(isGateway).map(({ metatype, name }) => {
    const address = addressOf(metatype as object, String(name));
    if (isIsolatedGateway(metatype)) assertLiteralPath(address.path, address.name);
    return address;
  });
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
  const { path, ...options } = (Reflect.getMetadata(GATEWAY_OPTIONS, type) ?? {}) as {
    path?: string;
  };
  const port = (Reflect.getMetadata(PORT_METADATA, type) ?? 0) as number;
  return { name, port, path, options };
}

function firstOf<K>(known: Map<K, GatewayAddress>, key: K, address: GatewayAddress) {
  const first = known.get(key) ?? address;
  known.set(key, first);
  return first;
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
