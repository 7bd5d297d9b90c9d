import type { IncomingHttpHeaders } from 'node:http';

import type { ExecutionContext } from '@nestjs/common';

/** The parts of an Express or Fastify request that a guard of a page may need. */
export interface PageRequest {
  readonly headers: IncomingHttpHeaders;
  readonly url: string;
  /** The client's address as the framework determines it. The page itself goes by `handshake.trustProxy`. */
  readonly ip?: string;
  readonly socket: { readonly remoteAddress?: string | undefined };
  /** Set by the authentication of the app, if it has one. */
  readonly user?: unknown;
}

/** The request of an execution context. */
export function requestOf(context: ExecutionContext): PageRequest {
  return context.switchToHttp().getRequest<PageRequest>();
}
