import { ServedPage } from '../pages/served-page.js';

/** The page, from `public`. */
export const PAGE = new ServedPage('dashboard', [
  'page.css',
  'actions.js',
  'aside.js',
  'cards.js',
  'chart.js',
  'cleanup.js',
  'cluster.js',
  'connections.js',
  'detail.js',
  'feed.js',
  'incident-words.js',
  'incidents.js',
  'page.js',
  'paged-list.js',
  'reconcile.js',
  'refusals.js',
  'server.js',
  'svg.js',
  'theme.js',
  'topics.js',
  'users.js',
  'words.js',
  'work.js',
]);
