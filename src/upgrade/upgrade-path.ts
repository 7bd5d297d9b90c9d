// Nothing in it that has another form: no encoded characters, no empty and no dotted segments.
const PLAIN_PATH = /^\/[\w\-./~]*$/;
const ENCODED = /%[\da-f]{2}/gi;
const UNRESERVED = /[\w\-.~]/;

/**
 * The one form of a path in which gateways and requests are compared: with a leading slash, without a trailing or
 * a double one, with the segments `.` and `..` resolved, and encoded no more than it has to be (RFC 3986, 6.2.2). A
 * query is no part of it; case counts.
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

/** The canonical path of an upgrade request; `undefined` when its target is not one. */
export function requestPath(url: string | undefined): string | undefined {
  // A target that begins with two slashes would be read as a host by whoever parses it after us.
  if (url === undefined || !url.startsWith('/') || url.startsWith('//')) return undefined;
  const end = url.indexOf('?');
  return canonicalPath(end === -1 ? url : url.slice(0, end));
}

function decodeUnreserved(encoded: string): string {
  const character = String.fromCodePoint(Number.parseInt(encoded.slice(1), 16));
  return UNRESERVED.test(character) ? character : encoded.toUpperCase();
}
