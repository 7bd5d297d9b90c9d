import { IsolationError } from '../errors/isolation-error.js';
import { UserExecutionContext } from '../context/user-execution-context.js';
import { WebSocketManager } from '../manager/web-socket-manager.js';
import { injectedTokens } from '../nest/injected-tokens.js';
import type { InstanceWrapper, NestInternals } from '../nest/nest-internals.js';
import { unboundGateways, isIsolatedGateway } from './isolated-gateway.decorator.js';
import { IsolatedWsAdapter } from './isolated-ws.adapter.js';

/**
 * Returns the WebSocket adapter of the application, which has to be an {@link IsolatedWsAdapter}.
 *
 * @throws {IsolationError} `FOREIGN_ADAPTER`; the message names the fix
 */
export function adapterOf(internals: NestInternals): IsolatedWsAdapter {
  const adapter: unknown = internals.config.getIoAdapter();
  if (adapter instanceof IsolatedWsAdapter) return adapter;
  const name = adapter?.constructor.name ?? 'none';
  throw new IsolationError(
    'FOREIGN_ADAPTER',
    `The application's WebSocket adapter is ${name}, which cannot isolate connections. ` +
      'Remove the call of app.useWebSocketAdapter(), or write app.useWebSocketAdapter(new IsolatedWsAdapter(app, options)).',
  );
}

/** Returns an error if the boot left isolated gateways without a server; `undefined` if all have one. */
export function unattachedGateways(
  internals: NestInternals,
  attached: readonly object[],
): IsolationError | undefined {
  const missing = internals
    .providersWhere(isIsolatedGateway)
    .filter(({ instance }) => !attached.includes(instance as object))
    .map(({ name }) => String(name));
  if (missing.length === 0) return undefined;
  return new IsolationError(
    'GATEWAY_NOT_ATTACHED',
    `Isolated gateways were not connected to their server: ${missing.join(', ')}. ` +
      'Write @IsolatedGateway() on the class itself, not only on its parent, and leave out its `server` option.',
  );
}

/**
 * Returns the names of isolated gateways that are in no `providers` of this application and that no other application
 * of this process has bound. No client can connect to them, and Nest does not report that.
 */
export function unprovidedGateways(internals: NestInternals): string[] {
  const provided = internals.providersWhere(isIsolatedGateway).map(({ metatype }) => metatype);
  const isUsed = (type: object): boolean =>
    provided.some(
      (other) => other === type || Object.prototype.isPrototypeOf.call(type, other as object),
    );
  return (
    unboundGateways()
      // A test that overrides a gateway with a value keeps the class as a token: such a gateway is not missing.
      .filter((type) => !isUsed(type) && !internals.isToken(type))
      .map((type) => (type as { name: string }).name)
  );
}

/**
 * Checks the declared durable providers. Connections and requests share them, and they outlive both. So none may inject
 * an identity: it would keep that of the first connection or request.
 *
 * @throws {IsolationError} `DURABLE_IDENTITY`; the message names the fix
 */
export function assertNoDurableIdentity(internals: NestInternals): void {
  for (const wrapper of internals.declaredDurable()) {
    // Connections never share an instance of a REQUEST-scoped gateway, even if it is declared durable.
    if (isIsolatedGateway(wrapper.metatype)) continue;
    const way = wayToIdentity(wrapper, internals, new Set());
    if (!way) continue;
    const identity = way.pop()!;
    const through = way.length > 0 ? ` (through ${way.join(', ')})` : '';
    throw new IsolationError(
      'DURABLE_IDENTITY',
      `${String(wrapper.name)} is durable, and injects ${identity}${through}: every user who shares it would act as the ` +
        'first one. Leave out `durable: true`, or inject REQUEST, which in a durable provider is the payload of your ' +
        'ContextIdStrategy, and hand the identity to its methods.',
    );
  }
}

const IDENTITIES: ReadonlySet<unknown> = new Set([UserExecutionContext, WebSocketManager]);

// Returns the names of the providers between a provider and an identity that it depends on, and of that identity.
function wayToIdentity(
  wrapper: InstanceWrapper,
  internals: NestInternals,
  seen: Set<InstanceWrapper>,
): string[] | undefined {
  seen.add(wrapper);
  for (const token of injectedTokens(wrapper)) {
    if (IDENTITIES.has(token)) return [(token as { name: string }).name];
    // As in Nest: the provider of the own module, otherwise that of another module if there is exactly one.
    const own = wrapper.host?.providers.get(token as never);
    const [next, other] = own ? [own] : internals.providersOf(token);
    if (!next || other || seen.has(next)) continue;
    const way = wayToIdentity(next, internals, seen);
    if (way) return [String(next.name), ...way];
  }
  return undefined;
}
