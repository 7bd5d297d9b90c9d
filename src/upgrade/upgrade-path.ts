// Only characters that have no other form. Empty and dotted segments are checked separately.
const PLAIN_PATH = /^\/[\w\-./~]*$/;
const ENCODED = /%[\da-f]{2}/gi;
const UNRESERVED = /[\w\-.~]/;

/**
 * Returns the canonical form of a path, in which gateways and requests are compared: with a leading slash, without
 * trailing or double slashes, with the segments `.` and `..` resolved, and with as little percent-encoding as possible
 * (RFC 3986, 6.2.2). The query is no part of it; case counts.
 */
export function canonicalPath(path: string | undefined): string {
  if (!path) return '/';
  if (PLAIN_PATH.test(path) && !path.includes('//') && !path.includes('/.')) {
    return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
  }
  const { pathname } = new URL(`http://localhost/${path}`);
  const collapsed = pathname.replaceAll(ENCODED, decodeUnreserved).replaceAll(/\/{2,}/g, '/');
  return collapsed.length > 1 && collapsed.endsWith('/') ? collapsed.slice(0, -1) : collapsed;
}

/** Returns the canonical path of an upgrade request; `undefined` if the request target is no path. */
export function requestPath(url: string | undefined): string | undefined {
  // Code that parses the target later would read a host after two leading slashes.
  if (url === undefined || !url.startsWith('/') || url.startsWith('//')) return undefined;
  const end = url.indexOf('?');
  return canonicalPath(end === -1 ? url : url.slice(0, end));
}

function decodeUnreserved(encoded: string): string {
  const character = String.fromCodePoint(Number.parseInt(encoded.slice(1), 16));
  return UNRESERVED.test(character) ? character : encoded.toUpperCase();
}
