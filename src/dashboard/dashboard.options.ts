import type { IncomingHttpHeaders } from 'node:http';

import type { CanActivate, ExecutionContext, Type } from '@nestjs/common';

import { IsolationError } from '../errors/isolation-error.js';

/** The parts of an Express or Fastify request that a guard of the dashboard may need. */
export interface DashboardRequest {
  readonly headers: IncomingHttpHeaders;
  readonly url: string;
  /** The client's address as the framework determines it. The dashboard itself goes by `handshake.trustProxy`. */
  readonly ip?: string;
  readonly socket: { readonly remoteAddress?: string | undefined };
  /** Set by the authentication of the app, if it has one. */
  readonly user?: unknown;
}

/** A guard as a function instead of a class. */
export type DashboardGuardFunction = (
  request: DashboardRequest,
  context: ExecutionContext,
) => boolean | Promise<boolean>;

/**
 * A Nest guard: a class (a provider of the app, or created for the dashboard), or a function. Only `true` admits. A
 * guard that has not returned within `handshake.timeoutMs` refuses with 408.
 */
export type DashboardGuard = Type<CanActivate> | DashboardGuardFunction;

/** What `WebSocketIsolationDashboardModule.forRoot()` takes. */
export interface DashboardOptions {
  /** Who may view the dashboard. Without a guard the application does not start, unless `allowAnonymous` is set. */
  readonly guard?: DashboardGuard | undefined;
  /**
   * Without a guard: requests from this machine are admitted, all others are refused. The socket address of each
   * request decides. Requests through a proxy are refused. For development. Default: false.
   */
  readonly allowAnonymous?: boolean | undefined;
  /** Which viewers may also act: disconnect, clean up, drain. Default: none. */
  readonly canAct?: DashboardGuard | undefined;
  /**
   * Which viewers see the ids of users and threads and the names of topics, besides those who may act. Others see
   * pseudonyms instead, and of addresses the network. Default: none; with `allowAnonymous` and without a guard, all.
   */
  readonly canSeeIds?: DashboardGuard | undefined;
  /** Returns the name of the operator for the audit line. Default: an id or name found in `request.user`. */
  readonly whoIs?:
    ((request: DashboardRequest) => string | undefined | Promise<string | undefined>) | undefined;
  /** Pages that may be open at once; further ones get a 503. Default: 20. */
  readonly maxViewers?: number | undefined;
  /**
   * Whether the last 15 minutes are also recorded while no page is open: one timer, one sample of a few numbers every 5
   * seconds, and the events of the feed. Default: false, which costs nothing until a page is open.
   */
  readonly keepHistory?: boolean | undefined;
}

/** What {@link DashboardAccess} has to know of a page. */
export interface PageOptions extends Pick<
  DashboardOptions,
  'guard' | 'canAct' | 'canSeeIds' | 'whoIs'
> {
  /** Names the page in errors and log lines: `the dashboard`. */
  readonly page: string;
}

/** {@link DashboardOptions} after defaults and checks. */
export interface ResolvedDashboardOptions extends DashboardOptions, PageOptions {
  readonly maxViewers: number;
}

/** Injection token of the {@link ResolvedDashboardOptions}. */
export const DASHBOARD_OPTIONS: unique symbol = Symbol('websocket-isolation:dashboard-options');

/** @throws {IsolationError} `DASHBOARD_UNGUARDED`, with a message that shows what to write */
export function resolveDashboardOptions(options: DashboardOptions): ResolvedDashboardOptions {
  const { guard, allowAnonymous = false, maxViewers = 20 } = options;
  if (!guard && !allowAnonymous) {
    throw new IsolationError(
      'DASHBOARD_UNGUARDED',
      'The dashboard shows connected users, and has no guard. ' +
        'Write WebSocketIsolationDashboardModule.forRoot({ guard: YourGuard }), ' +
        'or { allowAnonymous: true } for a dashboard that admits this machine only.',
    );
  }
  return Object.freeze({ ...options, maxViewers, page: 'the dashboard' });
}
