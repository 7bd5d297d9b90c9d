import type { IncomingHttpHeaders } from 'node:http';

import type { CanActivate, ExecutionContext, Type } from '@nestjs/common';

import { IsolationError } from '../errors/isolation-error.js';

/** What an Express or Fastify request has, that a guard of the dashboard may want. */
export interface DashboardRequest {
  readonly headers: IncomingHttpHeaders;
  readonly url: string;
  /** The client's address as the framework sees it: behind a proxy it trusts, the forwarded one. */
  readonly ip?: string;
  readonly socket: { readonly remoteAddress?: string | undefined };
  /** Whatever an authentication of the app has put there. */
  readonly user?: unknown;
}

/** The same as a guard class, as a function. */
export type DashboardGuardFunction = (
  request: DashboardRequest,
  context: ExecutionContext,
) => boolean | Promise<boolean>;

/**
 * A Nest guard: a class (a provider of the app, or made for the dashboard), or a function. Only `true` admits;
 * one that has not answered within `handshake.timeoutMs` refuses with 408.
 */
export type DashboardGuard = Type<CanActivate> | DashboardGuardFunction;

/** What `WebSocketIsolationDashboardModule.forRoot()` takes. */
export interface DashboardOptions {
  /** Who may look. Without it the application does not start, unless `allowAnonymous` is set. */
  readonly guard?: DashboardGuard | undefined;
  /**
   * Everybody on this machine may look, nobody else: decided by the address of the socket of every
   * request. Requests that came through a proxy are refused. For development. Default: false.
   */
  readonly allowAnonymous?: boolean | undefined;
  /** Who, of those who may look, may also act: disconnect, clean up, drain. Default: nobody. */
  readonly canAct?: DashboardGuard | undefined;
  /** How somebody who acts is called in the audit line. Default: an id or name found in `request.user`. */
  readonly whoIs?:
    ((request: DashboardRequest) => string | undefined | Promise<string | undefined>) | undefined;
  /** Pages that may be open at once; the next one is told so. Default: 20. */
  readonly maxViewers?: number | undefined;
  /**
   * Also record the last 15 minutes while nobody watches: one timer, one sample of a few numbers each 5
   * seconds, and the events of the feed. Default: false, which costs nothing until somebody looks.
   */
  readonly keepHistory?: boolean | undefined;
}

/** {@link DashboardOptions} after defaults and checks. */
export interface ResolvedDashboardOptions extends DashboardOptions {
  readonly maxViewers: number;
}

/** Injection token of the {@link ResolvedDashboardOptions}. */
export const DASHBOARD_OPTIONS: unique symbol = Symbol('websocket-isolation:dashboard-options');

/** @throws {IsolationError} `DASHBOARD_UNGUARDED`, saying what to write */
export function resolveDashboardOptions(options: DashboardOptions): ResolvedDashboardOptions {
  const { guard, allowAnonymous = false, maxViewers = 20 } = options;
  if (!guard && !allowAnonymous) {
    throw new IsolationError(
      'DASHBOARD_UNGUARDED',
      'The dashboard shows who is connected, and has no guard. ' +
        'Write WebSocketIsolationDashboardModule.forRoot({ guard: YourGuard }), ' +
        'or { allowAnonymous: true } for a dashboard that answers this machine only.',
    );
  }
  return Object.freeze({ ...options, maxViewers });
}
