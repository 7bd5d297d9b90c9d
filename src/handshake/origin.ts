import type { IncomingMessage } from 'node:http';

import type { HandshakeOptions } from '../config/option-groups.js';
import { askApp, yesOrNo } from './app-answer.js';

const readDecision = yesOrNo('The function handshake.allowedOrigins');

/**
 * Whether a request may connect by its Origin header: exact matches only, never a part of a name. Throws, or
 * rejects with, what a function of the app throws.
 */
export function isOriginAllowed(
  request: IncomingMessage,
  options: HandshakeOptions,
): boolean | Promise<boolean> {
  const { allowedOrigins, allowMissingOrigin } = options;
  const { origin, host, cookie } = request.headers;
  if (typeof allowedOrigins === 'function') {
    return askApp(() => allowedOrigins(origin, request), readDecision);
  }
  if (allowedOrigins === '*') return true;
  // Browsers always send an origin. A program without one is harmless, unless it comes with cookies:
  // then it acts with somebody's ambient authority.
  if (origin === undefined) return allowMissingOrigin ?? cookie === undefined;
  if (allowedOrigins === 'same-origin') return isSameOrigin(origin, host);
  return allowedOrigins.includes(origin);
}

/**
 * Whether an Origin header names the host that was asked. The scheme is left out: behind a proxy that
 * ends TLS the server cannot know it.
 */
export function isSameOrigin(origin: string, host: string | undefined): boolean {
  if (host === undefined || !URL.canParse(origin)) return false;
  const { protocol, host: originHost, origin: exact } = new URL(origin);
  const own = `${protocol}//${host}`;
  return exact === origin && URL.canParse(own) && new URL(own).host === originHost;
}
