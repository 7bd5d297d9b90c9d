import { IsolationError } from '../context/isolation-error.js';
import type { NestInternals } from '../nest/nest-internals.js';
import { isIsolatedGateway } from './isolated-gateway.decorator.js';
import { IsolatedWsAdapter } from './isolated-ws.adapter.js';

/**
 * The adapter of the application, which has to be ours.
 *
 * @throws {IsolationError} `FOREIGN_ADAPTER`, saying what to write
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

/** The error of a boot that left isolated gateways without their server; `undefined` when all have one. */
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
      'Write @IsolatedGateway() on the class itself, not only on its parent, and leave out its `server` and `namespace` options.',
  );
}
