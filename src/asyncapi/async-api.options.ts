import type { ModuleMetadata } from '@nestjs/common';

import { IsolationError } from '../errors/isolation-error.js';
import type { PageGuard } from '../pages/page.options.js';
import type { AsyncApiInfo } from './async-api-document.js';

/** What `WebSocketIsolationAsyncApiModule.forRoot()` takes. */
export interface AsyncApiModuleOptions extends AsyncApiInfo {
  /** Path of the page, below the application's global prefix. Default: `asyncapi`. */
  readonly path?: string | undefined;
  /** Who may read the page and the document. Without a guard the application does not start, unless `allowAnonymous` is set. */
  readonly guard?: PageGuard | undefined;
  /**
   * Without a guard: requests from this machine are admitted, all others are refused. Requests through a proxy are
   * refused. For development. To publish the document, write `guard: () => true`. Default: false.
   */
  readonly allowAnonymous?: boolean | undefined;
  /** Modules whose providers a guard class injects, if the class is not a provider of the app itself. */
  readonly imports?: ModuleMetadata['imports'];
}

/** @throws {IsolationError} `ASYNCAPI_UNGUARDED`, with a message that shows what to write */
export function assertGuarded({ guard, allowAnonymous = false }: AsyncApiModuleOptions): void {
  if (guard || allowAnonymous) return;
  throw new IsolationError(
    'ASYNCAPI_UNGUARDED',
    'The AsyncAPI page describes everything that clients may send, and has no guard. ' +
      'Write WebSocketIsolationAsyncApiModule.forRoot({ guard: YourGuard }), ' +
      '{ guard: () => true } for a document that everyone may read, ' +
      'or { allowAnonymous: true } for a page that admits this machine only.',
  );
}
