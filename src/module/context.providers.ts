import type { IncomingMessage } from 'node:http';

import {
  BadRequestException,
  type FactoryProvider,
  RequestTimeoutException,
  Scope,
  UnauthorizedException,
} from '@nestjs/common';
import { REQUEST } from '@nestjs/core';

import { type Clock, CLOCK } from '../clock/clock.js';
import { TIMED_OUT, withDeadline } from '../clock/deadline.js';
import { ISOLATION_OPTIONS, type ResolvedOptions } from '../config/isolation.options.js';
import { InvalidContextError } from '../context/context.errors.js';
import { IsolationError } from '../context/isolation-error.js';
import { UserExecutionContext } from '../context/user-execution-context.js';
import { Authentication } from '../handshake/authentication.js';
import { ManagerRegistry } from '../manager/manager-registry.js';
import { WebSocketManager } from '../manager/web-socket-manager.js';
import { ConnectionRequest } from '../scope/connection-request.js';

/** `UserExecutionContext`: of the connection, or of the HTTP request. */
export const contextProvider: FactoryProvider = {
  provide: UserExecutionContext,
  scope: Scope.REQUEST,
  inject: [REQUEST, Authentication, CLOCK, ISOLATION_OPTIONS],
  useFactory: (
    request: unknown,
    authentication: Authentication,
    clock: Clock,
    options: ResolvedOptions,
  ) =>
    // Not a promise for connections: Nest would wait a turn for it, on every connect.
    request instanceof ConnectionRequest
      ? request.context
      : contextOfHttp(httpRequestOf(request), authentication, clock, options.handshake.timeoutMs),
};

/** `WebSocketManager`: of the connection. */
export const managerProvider: FactoryProvider = {
  provide: WebSocketManager,
  scope: Scope.REQUEST,
  inject: [REQUEST, ManagerRegistry],
  useFactory: (request: unknown, registry: ManagerRegistry) => {
    const manager =
      request instanceof ConnectionRequest && registry.get(request.context.connectionId);
    if (!manager) throw noConnection('WebSocketManager');
    return manager;
  },
};

async function contextOfHttp(
  request: IncomingMessage,
  authentication: Authentication,
  clock: Clock,
  timeoutMs: number,
): Promise<UserExecutionContext> {
  const controller = new AbortController();
  const pending = Promise.resolve(authentication.identify(request, controller));
  const identity = await withDeadline(clock, timeoutMs, pending);
  if (identity === TIMED_OUT) {
    controller.abort();
    throw new RequestTimeoutException();
  }
  if (!identity) throw new UnauthorizedException();
  try {
    return UserExecutionContext.fromHttpRequest(request, identity);
  } catch (error) {
    if (!(error instanceof InvalidContextError)) throw error;
    throw new BadRequestException(error.message, { cause: error });
  }
}

// Express gives the request itself, Fastify its own around it, GraphQL a context that holds it.
function httpRequestOf(request: unknown): IncomingMessage {
  const { raw, req } = (request ?? {}) as { raw?: unknown; req?: unknown };
  const found = [raw, req, request].find(isHttpRequest);
  if (!found) throw noConnection('UserExecutionContext');
  return found;
}

function isHttpRequest(value: unknown): value is IncomingMessage {
  return typeof (value as IncomingMessage | undefined)?.headers === 'object';
}

function noConnection(name: string): IsolationError {
  return new IsolationError(
    'NO_CONNECTION',
    `${name} was asked for where there is no isolated connection. ` +
      'Inject it into a gateway with @IsolatedGateway() or a REQUEST-scoped provider behind one; ' +
      'elsewhere use WebSocketEmitter or WebSocketManagerFactory.',
  );
}
