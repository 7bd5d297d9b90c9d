import { type PageFile, ServedPage } from './served-page.js';

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
  'incident-words.js': SCRIPT,
  'incidents.js': SCRIPT,
  'page.js': SCRIPT,
  'paged-list.js': SCRIPT,
  'refusals.js': SCRIPT,
  'server.js': SCRIPT,
  'theme.js': SCRIPT,
  'topics.js': SCRIPT,
  'users.js': SCRIPT,
  'words.js': SCRIPT,
  'work.js': SCRIPT,
};

/** The names of the files beside the page. */
export const PAGE_FILES: readonly string[] = Object.keys(TYPES);

const PAGE = new ServedPage(new URL('./public/', import.meta.url), TYPES);

/** Resolves to a file of the page; to `undefined` for any other name. */
export function pageFile(name: string): Promise<PageFile | undefined> {
  return PAGE.file(name);
}

/** The page itself, with a base that fits the requested URL. */
export function pageAt(url: string, path: string): Promise<PageFile> {
  return PAGE.at(url, path);
}
