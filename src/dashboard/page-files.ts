import { readFile } from 'node:fs/promises';

/** The page may load only files of this server: nothing inline, nothing from other origins. It must not be framed. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
};

const SCRIPT = 'text/javascript; charset=utf-8';
const TYPES: Readonly<Record<string, string>> = {
  'icon.svg': 'image/svg+xml',
  'page.css': 'text/css; charset=utf-8',
  'actions.js': SCRIPT,
  'aside.js': SCRIPT,
  'cards.js': SCRIPT,
  'chart.js': SCRIPT,
  'cleanup.js': SCRIPT,
  'cluster.js': SCRIPT,
  'connections.js': SCRIPT,
  'detail.js': SCRIPT,
  'dom.js': SCRIPT,
  'feed.js': SCRIPT,
  'incidents.js': SCRIPT,
  'page.js': SCRIPT,
  'paged-list.js': SCRIPT,
  'refusals.js': SCRIPT,
  'server.js': SCRIPT,
  'theme.js': SCRIPT,
  'topics.js': SCRIPT,
  'users.js': SCRIPT,
  'words.js': SCRIPT,
};

/** The names of the files beside the page. */
export const PAGE_FILES: readonly string[] = Object.keys(TYPES);

export interface PageFile {
  readonly type: string;
  readonly content: string;
}

/** Resolves to a file of the page; to `undefined` for any other name. */
export async function pageFile(name: string): Promise<PageFile | undefined> {
  const type = Object.hasOwn(TYPES, name) ? TYPES[name]! : undefined;
  return type === undefined ? undefined : { type, content: await read(name) };
}

/**
 * The page itself. Its links are relative, so that it works behind any prefix. Their base depends on whether the
 * requested URL ends with a slash.
 */
export async function pageAt(url: string, path: string): Promise<PageFile> {
  const hasSlash = url.split('?', 1)[0]!.endsWith('/');
  const base = hasSlash ? './' : `${path.split('/').findLast(Boolean) ?? '.'}/`;
  const html = await read('index.html');
  return {
    type: 'text/html; charset=utf-8',
    content: html.replaceAll('{base}', encodeURI(base)),
  };
}

function read(name: string): Promise<string> {
  return readFile(new URL(`./public/${name}`, import.meta.url), 'utf8');
}
