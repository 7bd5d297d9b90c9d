import type { IncomingMessage } from 'node:http';

import { IsolationError } from '../errors/isolation-error.js';
import type { NestInternals } from '../nest/nest-internals.js';
import { ConnectionRequest } from '../scope/connection-request.js';

/** The properties that Nest reads on every instance that it has made. */
const ASKED_BY_NEST: ReadonlySet<PropertyKey> = new Set([
  'constructor',
  'then',
  'onModuleInit',
  'onModuleDestroy',
  'onApplicationBootstrap',
  'beforeApplicationShutdown',
  'onApplicationShutdown',
]);

/** The loader of `@nestjs/event-emitter`. It makes listeners where an error cannot be caught: the process would end. */
const MAKES_LISTENERS = 'EventSubscribersLoader';

/**
 * Handles an injection where there is no connection. In an HTTP request, where the app resolves a provider by hand, and
 * in a connection that has ended, it throws at once, so that the caller gets the error. For consumers of events, jobs
 * and messages it returns a stand-in that throws the same error when it is used: inside the consumer, where the
 * consumer's library handles errors.
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

/**
 * Returns the HTTP request behind Nest's `REQUEST`, if there is one: with Express the request itself, with Fastify the
 * request inside Fastify's own, with GraphQL the request inside the context.
 */
export function httpRequestOf(request: unknown): IncomingMessage | undefined {
  const { raw, req } = (request ?? {}) as { raw?: unknown; req?: unknown };
  return [raw, req, request].find(isHttpRequest);
}

// An event of the app may have `headers` too, but identifies no user.
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
