import type { IncomingMessage } from 'node:http';

import type { HandshakeOptions } from '../config/handshake-options.js';
import { askApp, yesOrNo } from './app-answer.js';
import { HandshakeRefused } from './refusal.js';

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
  // Browsers always send an origin. A program without one is harmless, unless it comes with cookies: then it acts with
  // the ambient authority of a user.
  if (origin === undefined) return allowMissingOrigin ?? cookie === undefined;
  if (allowedOrigins === 'same-origin') return isSameOrigin(origin, host);
  return allowedOrigins.includes(origin);
}

/**
 * Whether an Origin header names the host that the request is for. The scheme is ignored: behind a proxy that
 * terminates TLS, the server cannot know it.
 */
export function isSameOrigin(origin: string, host: string | undefined): boolean {
  if (host === undefined || !URL.canParse(origin)) return false;
  const { protocol, host: originHost, origin: exact } = new URL(origin);
  const own = `${protocol}//${host}`;
  return exact === origin && URL.canParse(own) && new URL(own).host === originHost;
}

const LONGEST_SHOWN = 200;

/** The log text for a request that may not connect: both sides of the comparison, and what to do. */
function describeForeignOrigin(request: IncomingMessage, options: HandshakeOptions): string {
  const { origin, host } = request.headers;
  if (origin === undefined) {
    return 'The request carries cookies but no Origin: set handshake.allowMissingOrigin where programs with cookies may connect';
  }
  if (options.allowedOrigins === 'same-origin') {
    return `The Origin is ${shown(origin)}, the Host ${shown(host)}: let the proxy pass the Host on, or name the origin in handshake.allowedOrigins`;
  }
  return `The Origin is ${shown(origin)}: handshake.allowedOrigins does not allow it`;
}

function shown(header: string | undefined): string {
  return (header ?? 'none').slice(0, LONGEST_SHOWN);
}

/** The refusal of a request whose origin is not allowed. Its error is for the log, and explains the comparison. */
export function foreignOrigin(
  request: IncomingMessage,
  options: HandshakeOptions,
): HandshakeRefused {
  return originRefused(new Error(describeForeignOrigin(request, options)));
}

/** The refusal when `handshake.allowedOrigins` has failed. */
export function originRefused(error: unknown): HandshakeRefused {
  return new HandshakeRefused('origin', { error });
}
