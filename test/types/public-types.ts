// `npm run typecheck` checks this file; it never runs. It contains code that must compile, and code that must not.
import {
  type ConnectionAuthenticator,
  type ConnectionIdentity,
  type DeliveryResult,
  IsolatedGateway,
  IsolatedWsAdapter,
  type LeakReport,
  UserExecutionContext,
  type WebSocketEmitter,
  WebSocketIsolationModule,
  type WebSocketIsolationOptions,
  type WebSocketManager,
  type WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';

class Authenticator implements ConnectionAuthenticator {
  authenticate(): Promise<ConnectionIdentity | null> {
    return Promise.resolve({ userId: 'ada', expiresAt: Date.now(), metadata: { role: 'admin' } });
  }
}

/** A row of a database table, with NULL in its empty columns. */
export const row: ConnectionIdentity = {
  userId: 'ada',
  threadId: null,
  runId: null,
  expiresAt: null,
  metadata: null,
};
// @ts-expect-error every connection has a user
export const nobody: ConnectionIdentity = { userId: null };

WebSocketIsolationModule.forRoot();
WebSocketIsolationModule.forRoot({
  authenticator: Authenticator,
  limits: { maxManagersPerUser: 5 },
});
class SyncAuthenticator implements ConnectionAuthenticator {
  authenticate(): ConnectionIdentity | null {
    return { userId: 'ada' };
  }
}
WebSocketIsolationModule.forRoot({ authenticator: SyncAuthenticator });
WebSocketIsolationModule.forRoot({ handshake: { allowedOrigins: async () => false } });
// @ts-expect-error -- the function must return a boolean
WebSocketIsolationModule.forRoot({ handshake: { allowedOrigins: () => 'no' } });
WebSocketIsolationModule.forRoot({ authenticator: (request) => ({ userId: String(request.url) }) });
WebSocketIsolationModule.forRoot({ inbound: { rate: { messages: 10, perMs: 1000 } } });
WebSocketIsolationModule.forRoot({ resume: {} });
WebSocketIsolationModule.forRoot({ resume: { windowMs: 1000, maxEvents: 10, maxBytes: 1000 } });
// @ts-expect-error resume is a group of options, not a flag
WebSocketIsolationModule.forRoot({ resume: true });
WebSocketIsolationModule.forRoot({ handshake: { allowedOrigins: (origin) => origin === 'x' } });
WebSocketIsolationModule.forRootAsync({
  inject: ['CONFIG'],
  useFactory: (limit: number) => ({ limits: { maxManagersPerUser: limit } }),
});

// @ts-expect-error an option that does not exist
WebSocketIsolationModule.forRoot({ limits: { maxManagerPerUser: 5 } });
// @ts-expect-error a policy that does not exist
WebSocketIsolationModule.forRoot({ limits: { overflow: 'drop' } });
// @ts-expect-error an identity without a user
WebSocketIsolationModule.forRoot({ authenticator: () => ({ threadId: 'tea' }) });
// @ts-expect-error a rate without its time
WebSocketIsolationModule.forRoot({ inbound: { rate: { messages: 10 } } });
// @ts-expect-error the constructor is private: fromWebSocketRequest() creates contexts
export const context = new UserExecutionContext({ userId: 'ada' });

IsolatedGateway();
IsolatedGateway(8080, { path: '/own' });
IsolatedGateway({ path: '/chat', maxPayload: 1024 });
// @ts-expect-error options come after the port
IsolatedGateway({ path: '/chat' }, 8080);

export const adapter = new IsolatedWsAdapter(undefined, { perMessageDeflate: true });
// @ts-expect-error the server is Nest's
export const wrong = new IsolatedWsAdapter(undefined, { server: {} });

export function results(manager: WebSocketManager, emitter: WebSocketEmitter): string {
  const result: DeliveryResult = manager.send('event', { any: 'data' });
  const report: { sent: number; queued: number; dropped: number } = emitter.toUser('ada').send('x');
  emitter.toThread('ada', 'tea').send('event');
  emitter.toThread('ada', 'tea').sendCritical('event');
  // @ts-expect-error history is kept for a thread, not for a user
  emitter.toUser('ada').sendCritical('event');
  // @ts-expect-error a thread belongs to a user
  emitter.toThread('tea');
  // @ts-expect-error the context is frozen
  manager.context.userId = 'eve';
  return `${typeof result === 'string' ? result : result.dropped} ${report.sent}`;
}

export async function factories(
  factory: WebSocketManagerFactory,
  leaks: LeakReport,
): Promise<number> {
  const manager: WebSocketManager = await factory.createManager(
    UserExecutionContext.fromWebSocketRequest({ userId: 'ada' }),
  );
  const isRemoved: boolean = await factory.cleanupManager(manager.context.connectionId);
  const ended: number = await factory.disconnectUser('ada', { code: 4401 });
  return (
    Number(isRemoved) +
    ended +
    leaks.ledger.active +
    factory.getStats().factoryMetrics.managersActive
  );
}

export const options: WebSocketIsolationOptions = { cleanup: { idleTimeoutMs: 0 } };
