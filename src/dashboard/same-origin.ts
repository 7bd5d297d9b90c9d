import { isSameOrigin } from '../handshake/origin.js';
import type { DashboardRequest } from './dashboard.options.js';

/**
 * Whether a request was sent by a page of this very server. Browsers that say so are believed (it
 * holds behind any proxy); of others the Origin header has to be there and has to be ours.
 */
export function isFromOwnPage({ headers }: DashboardRequest): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin';
  return isSameOrigin(headers.origin ?? '', headers.host);
}

/** Whether a body was sent as JSON, which a form of another site cannot do. */
export function isJson({ headers }: DashboardRequest): boolean {
  return /^application\/json\s*(;|$)/i.test(headers['content-type'] ?? '');
}
