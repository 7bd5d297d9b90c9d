import { isSameOrigin } from '../handshake/origin.js';
import type { PageRequest } from '../pages/page-request.js';

/**
 * Whether a request was sent by a page of this server. The `Sec-Fetch-Site` header decides if the browser sends it,
 * because it is correct behind any proxy. Otherwise the `Origin` header is required and has to match the host.
 */
export function isFromOwnPage({ headers }: PageRequest): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin';
  return isSameOrigin(headers.origin ?? '', headers.host);
}

/** Whether a body was sent as JSON. A form of another site cannot send JSON. */
export function isJson({ headers }: PageRequest): boolean {
  return /^application\/json\s*(;|$)/i.test(headers['content-type'] ?? '');
}
