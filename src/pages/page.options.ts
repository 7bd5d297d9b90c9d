import type { CanActivate, ExecutionContext, Type } from '@nestjs/common';

import type { PageRequest } from './page-request.js';

/** A guard as a function instead of a class. */
export type PageGuardFunction = (
  request: PageRequest,
  context: ExecutionContext,
) => boolean | Promise<boolean>;

/**
 * A Nest guard: a class (a provider of the app, or created for the page), or a function. Only `true` admits. A guard
 * that has not returned within `handshake.timeoutMs` refuses with 408.
 */
export type PageGuard = Type<CanActivate> | PageGuardFunction;

/** What every page of this package has to know. */
export interface PageOptions {
  /** Names the page in errors and log lines: `the dashboard`. */
  readonly page: string;
  /** Who may look. Without a guard: requests from this machine. */
  readonly guard?: PageGuard | undefined;
}

/** Injection token of the {@link PageOptions}. */
export const PAGE_OPTIONS: unique symbol = Symbol('websocket-isolation:page-options');
