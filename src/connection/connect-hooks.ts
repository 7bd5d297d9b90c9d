import { isObservable, lastValueFrom } from 'rxjs';

import { TIMED_OUT, withDeadline } from '../time/deadline.js';
import { CloseCode } from '../wire/close-codes.js';
import { httpStatusOf } from '../errors/http-status.js';
import { subjectOf } from '../journal/journal.js';
import { inTurn, isThenable } from '../structures/maybe-async.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { ExecutionContextHost } from '../nest/nest-internals.js';
import type { ConnectionScope } from '../scope/connection-scope.js';
import { ConnectionExecutionContext } from '../handlers/connection-execution-context.js';
import type { ConnectionServices } from './connection-services.js';
import { applyFilter, filterFor } from '../handlers/exception-reply.js';
import type { ConnectPlan, GatewayInstance } from '../handlers/gateway-definition.js';
import {
  admit,
  GuardRefusedError,
  intercept,
  type SettlingCall,
} from '../handlers/handler-pipeline.js';
import type { IsolatedServer } from '../handlers/isolated-server.js';

/** The parts of a connection that the connect hooks need. */
export interface ConnectingConnection {
  readonly services: ConnectionServices;
  readonly server: IsolatedServer;
  readonly manager: WebSocketManager;
  readonly scope: ConnectionScope;
  readonly instances: readonly GatewayInstance[];
  readonly client: object;
  /** The number of gateways whose connect hook has begun. */
  connectsStarted: number;
}

/**
 * Runs guards, interceptors and `handleConnection` of every gateway on the path, one gateway after the other. Returns a
 * promise only if a step is asynchronous. Never rejects: a failure closes the connection with the close code of its
 * cause. The caller runs it in the connection's context.
 */
export function runConnectHooks(
  connection: ConnectingConnection,
  request: unknown,
): Promise<void> | undefined {
  const { tracer } = connection.services.tracing;
  if (!tracer) return enterAll(connection, request);
  const step = tracer.connect(connection.manager, connection.server.path);
  const pending = step.run(() => enterAll(connection, request));
  if (pending) return pending.then(() => step.end());
  step.end();
  return undefined;
}

function enterAll(connection: ConnectingConnection, request: unknown): Promise<void> | undefined {
  return inTurn(connection.server.gateways.length, (index) =>
    connection.manager.mayAct ? enter(connection, index, request) : undefined,
  );
}

/** Runs `handleDisconnect` of every gateway whose connect hook has begun, one after the other, each through `step`. */
export function runDisconnectHooks(
  { instances, connectsStarted }: ConnectingConnection,
  step: (hook: (client: object, code: number) => unknown) => Promise<void> | undefined,
): Promise<void> | undefined {
  return inTurn(connectsStarted, (index) => {
    const gateway = instances[index]!;
    if (!gateway.handleDisconnect) return undefined;
    return step((client, code) => gateway.handleDisconnect!(client, code));
  });
}

/** The connect hook of one gateway, with its guards and interceptors. */
interface GuardedHook {
  readonly connection: ConnectingConnection;
  readonly gateway: GatewayInstance;
  readonly plan: ConnectPlan;
  readonly hook: () => unknown;
}

function enter(
  connection: ConnectingConnection,
  index: number,
  request: unknown,
): Promise<void> | undefined {
  const { manager, client } = connection;
  const gateway = connection.instances[index]!;
  const plan = connection.server.gateways[index]!.connectPlan(connection.scope);
  const hook = (): unknown => {
    // The client may have left while a guard was running.
    if (!manager.mayAct) return undefined;
    connection.connectsStarted = index + 1;
    return gateway.handleConnection?.(client, request);
  };
  try {
    const result = guarded({ connection, gateway, plan, hook });
    return isThenable(result) ? bounded(connection, plan, Promise.resolve(result)) : undefined;
  } catch (error) {
    refuse(connection, plan, error);
    return undefined;
  }
}

function guarded({ connection, gateway, plan, hook }: GuardedHook): unknown {
  const { guards, interceptors } = plan;
  if (guards.length === 0 && interceptors.length === 0) return hook();
  const type = gateway.constructor as never;
  const context = new ConnectionExecutionContext(
    [connection.client, undefined],
    type,
    plan.callback,
  );
  const proceed = (): unknown => {
    if (interceptors.length === 0) return hook();
    return drained(intercept(interceptors, context, hook, NOBODY));
  };
  const admitted = admit(guards, context);
  return admitted ? admitted.then(proceed) : proceed();
}

// Running connect hooks are not counted, and `hook` itself checks whether it may still start.
const NOBODY: SettlingCall = { settled: () => undefined, mayStart: () => true };

// The result of a connect hook is not sent to the client. Of a stream, only the end matters.
function drained(result: unknown): unknown {
  if (isThenable(result)) return result.then(drained);
  return isObservable(result) ? lastValueFrom(result, { defaultValue: undefined }) : result;
}

async function bounded(
  connection: ConnectingConnection,
  plan: ConnectPlan,
  hook: Promise<unknown>,
): Promise<void> {
  const { clock, options } = connection.services;
  const { manager } = connection;
  try {
    const outcome = await withDeadline(clock, options.handshake.timeoutMs, hook);
    if (outcome !== TIMED_OUT || !manager.isActive) return;
    manager.abandon('handleConnection', hook);
    void manager.close(CloseCode.HANDSHAKE_TIMEOUT, 'connect hook timed out');
  } catch (error) {
    refuse(connection, plan, error);
  }
}

function refuse(connection: ConnectingConnection, plan: ConnectPlan, error: unknown): void {
  const { manager, services } = connection;
  manager.fail(error);
  const code = codeOf(error);
  if (code === CloseCode.SERVER_ERROR) {
    const subject = subjectOf(manager.context);
    services.journal.record('hook-failed', { subject, hook: 'handleConnection', error });
  }
  letFilterAnswer(connection, plan, error);
  if (manager.isActive) void manager.close(code, TEXTS[code] ?? 'server error');
}

const TEXTS: Readonly<Record<number, string>> = {
  [CloseCode.UNAUTHORIZED]: 'unauthorized',
  [CloseCode.FORBIDDEN]: 'forbidden',
  [CloseCode.RATE_LIMITED]: 'rate limit',
};

function codeOf(error: unknown): number {
  const status = httpStatusOf(error);
  if (status === 401) return CloseCode.UNAUTHORIZED;
  if (status === 403 || error instanceof GuardRefusedError) return CloseCode.FORBIDDEN;
  if (status === 429) return CloseCode.RATE_LIMITED;
  return CloseCode.SERVER_ERROR;
}

function letFilterAnswer(
  connection: ConnectingConnection,
  plan: ConnectPlan,
  error: unknown,
): void {
  const filter = filterFor(plan.filters, error);
  if (!filter) return;
  const host = new ExecutionContextHost([connection.client, undefined]);
  host.setType('ws');
  const report = (filterError: unknown): void => {
    const subject = subjectOf(connection.manager.context);
    const hook = 'exception filter';
    connection.services.journal.record('hook-failed', { subject, hook, error: filterError });
  };
  try {
    const result = applyFilter(filter, error, host);
    if (isThenable(result)) void result.then(undefined, report);
  } catch (filterError) {
    report(filterError);
  }
}
