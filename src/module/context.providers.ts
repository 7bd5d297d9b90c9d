import type { IncomingMessage } from 'node:http';

import {
  BadRequestException,
  type FactoryProvider,
  RequestTimeoutException,
  Scope,
  UnauthorizedException,
} from '@nestjs/common';
import { REQUEST } from '@nestjs/core';

import { type Clock, CLOCK } from '../time/clock.js';
import { TIMED_OUT, withDeadline } from '../time/deadline.js';
import {
  type HandshakeRequest,
  ISOLATION_OPTIONS,
  type PathParams,
  type ResolvedOptions,
} from '../config/isolation.options.js';
import { ExpiredIdentityError, InvalidContextError } from '../context/context.errors.js';
import { assertNotExpired } from '../context/context.errors.js';
import { UserExecutionContext } from '../context/user-execution-context.js';
import { Authentication } from '../handshake/authentication.js';
import { ManagerRegistry } from '../manager/manager-registry.js';
import { WebSocketManager } from '../manager/web-socket-manager.js';
import { NestInternals } from '../nest/nest-internals.js';
import { ConnectionRequest } from '../scope/connection-request.js';
import { NO_PARAMS } from '../upgrade/path-pattern.js';
import { httpRequestOf, outsideConnections } from './outside-connections.js';

/** Provides the `UserExecutionContext` of the connection or of the HTTP request. */
export const contextProvider: FactoryProvider = {
  provide: UserExecutionContext,
  scope: Scope.REQUEST,
  inject: [REQUEST, Authentication, CLOCK, ISOLATION_OPTIONS, NestInternals],
  useFactory: (
    request: unknown,
    authentication: Authentication,
    clock: Clock,
    options: ResolvedOptions,
    internals: NestInternals,
  ) => {
    // Synchronous for connections: Nest would wait one turn for a promise, on every connect.
    if (ConnectionRequest.isOne(request)) return request.context;
    const http = httpRequestOf(request);
    return http
      ? contextOfHttp(withParams(http, request), authentication, clock, options.handshake.timeoutMs)
      : outsideConnections(UserExecutionContext, request, internals);
  },
};

/** Provides the `WebSocketManager` of the connection. */
export const managerProvider: FactoryProvider = {
  provide: WebSocketManager,
  scope: Scope.REQUEST,
  inject: [REQUEST, ManagerRegistry, NestInternals],
  useFactory: (request: unknown, registry: ManagerRegistry, internals: NestInternals) => {
    const manager = ConnectionRequest.isOne(request) && registry.get(request.context.connectionId);
    return manager || outsideConnections(WebSocketManager, request, internals);
  },
};

// Express has the parameters of the route on the request that Node.js has made, Fastify beside it.
function withParams(http: IncomingMessage, request: unknown): HandshakeRequest {
  const [own, beside] = [http, request] as { params?: PathParams }[];
  const params = own!.params ?? beside!.params ?? NO_PARAMS;
  return Object.assign(http, { params });
}

async function contextOfHttp(
  request: HandshakeRequest,
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
    const context = UserExecutionContext.fromHttpRequest(request, identity);
    assertNotExpired(context, clock.epoch());
    return context;
  } catch (error) {
    if (error instanceof ExpiredIdentityError) {
      throw new UnauthorizedException(undefined, { cause: error });
    }
    if (!(error instanceof InvalidContextError)) throw error;
    throw new BadRequestException(error.message, { cause: error });
  }
}
