/** The path a gateway is registered under: with a leading slash, without a trailing one. */
export function canonicalPath(path: string | undefined): string {
  if (!path) return '/';
  // Not by a pattern: one that looks for slashes at the end tries every row of slashes on its way.
  let end = path.length;
  while (end > 0 && path[end - 1] === '/') end -= 1;
  const trimmed = path.slice(0, end);
  return trimmed.startsWith('/') ? trimmed : `/${trimmed}`;
}

// Nothing in it that a URL parser would read in another way.
const PLAIN_PATH = /^\/(?!\/)[\w\-./~]*$/;

/** The canonical path of an upgrade request; `undefined` when its target is not one. */
export function requestPath(url: string | undefined): string | undefined {
  if (url === undefined) return undefined;
  const end = url.indexOf('?');
  const path = end === -1 ? url : url.slice(0, end);
  if (PLAIN_PATH.test(path) && !path.includes('./')) return canonicalPath(path);
  const base = 'http://localhost';
  // A target that begins with two slashes would be read as a host.
  if (!url.startsWith('/') || url.startsWith('//') || !URL.canParse(url, base)) return undefined;
  return canonicalPath(new URL(url, base).pathname);
}
