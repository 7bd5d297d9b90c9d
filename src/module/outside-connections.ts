import type { IncomingMessage } from 'node:http';

import { IsolationError } from '../errors/isolation-error.js';
import type { NestInternals } from '../nest/nest-internals.js';
import { ConnectionRequest } from '../scope/connection-request.js';

/** What Nest asks of everything that it has made. */
const ASKED_BY_NEST: ReadonlySet<PropertyKey> = new Set([
  'constructor',
  'then',
  'onModuleInit',
  'onModuleDestroy',
  'onApplicationBootstrap',
  'beforeApplicationShutdown',
  'onApplicationShutdown',
]);

/** `@nestjs/event-emitter` makes listeners where nobody can catch what that throws: the process would end. */
const MAKES_LISTENERS = 'EventSubscribersLoader';

/**
 * What is injected where there is no connection. In an HTTP request, where an app resolves a provider by
 * hand, and in a connection that has ended, that is an error at once, which the caller gets. For consumers of events, jobs and messages it is a stand-in that throws
 * the same error when it is used, inside of the consumer, where its library handles errors.
 *
 * @param request Nest's `REQUEST`
 * @throws {IsolationError} `NO_CONNECTION`
 */
export function outsideConnections<Instance extends object>(
  type: { readonly name: string; readonly prototype: Instance },
  request: unknown,
  internals: NestInternals,
): Instance {
  const isByHand = request === undefined && !makesListeners(internals);
  const hasEnded = request instanceof ConnectionRequest;
  if (isByHand || hasEnded || httpRequestOf(request)) throw noConnection(type.name);
  const refuse = (): never => {
    throw noConnection(type.name);
  };
  return new Proxy(Object.create(type.prototype) as Instance, {
    get: (target, key) =>
      typeof key === 'symbol' || ASKED_BY_NEST.has(key)
        ? (Reflect.get(Object.prototype, key, target) as unknown)
        : refuse(),
    set: refuse,
  });
}

function makesListeners(internals: NestInternals): boolean {
  return internals.providersWhere(isLoader).length > 0;
}

function isLoader(type: unknown): boolean {
  return (type as { name?: unknown } | null | undefined)?.name === MAKES_LISTENERS;
}

/** Express gives the request itself, Fastify its own around it, GraphQL a context that holds it. */
export function httpRequestOf(request: unknown): IncomingMessage | undefined {
  const { raw, req } = (request ?? {}) as { raw?: unknown; req?: unknown };
  return [raw, req, request].find(isHttpRequest);
}

// An event of the app may have `headers` too, and identifies nobody.
function isHttpRequest(value: unknown): value is IncomingMessage {
  const { headers, method, url } = (value ?? {}) as Partial<Record<keyof IncomingMessage, unknown>>;
  return typeof headers === 'object' && typeof method === 'string' && typeof url === 'string';
}

function noConnection(name: string): IsolationError {
  return new IsolationError(
    'NO_CONNECTION',
    `${name} was asked for where there is no isolated connection. ` +
      'Inject it into a gateway with @IsolatedGateway() or a REQUEST-scoped provider behind one; ' +
      'elsewhere use WebSocketEmitter or WebSocketManagerFactory.',
  );
}
