import { IsolationError } from '../errors/isolation-error.js';
import type { PageRequest } from '../pages/page-request.js';
import type { PageGuard, PageOptions } from '../pages/page.options.js';

/** What `WebSocketIsolationDashboardModule.forRoot()` takes. */
export interface DashboardOptions {
  /** Who may view the dashboard. Without a guard the application does not start, unless `allowAnonymous` is set. */
  readonly guard?: PageGuard | undefined;
  /**
   * Without a guard: requests from this machine are admitted, all others are refused. The socket address of each
   * request decides. Requests through a proxy are refused. For development. Default: false.
   */
  readonly allowAnonymous?: boolean | undefined;
  /** Which viewers may also act: disconnect, clean up, drain. Default: none. */
  readonly canAct?: PageGuard | undefined;
  /**
   * Which viewers see the ids of users and threads and the names of topics, besides those who may act. Others see
   * pseudonyms instead, and of addresses the network. Default: none; with `allowAnonymous` and without a guard, all.
   */
  readonly canSeeIds?: PageGuard | undefined;
  /** Returns the name of the operator for the audit line. Default: an id or name found in `request.user`. */
  readonly whoIs?:
    ((request: PageRequest) => string | undefined | Promise<string | undefined>) | undefined;
  /** Pages that may be open at once; further ones get a 503. Default: 20. */
  readonly maxViewers?: number | undefined;
  /**
   * Whether the last 15 minutes are also recorded while no page is open: one timer, one sample of a few numbers every 5
   * seconds, and the events of the feed. Default: false, which costs nothing until a page is open.
   */
  readonly keepHistory?: boolean | undefined;
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
