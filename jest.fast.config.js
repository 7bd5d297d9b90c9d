import config from './jest.config.js';

// `npm run test:fast`: what a change breaks most often, within a minute. The rest (a real browser, several nodes over
// Redis, the packed package, stock Nest beside ours, planted faults, floods and slow readers) runs in `npm test`.
const FOLDERS = ['unit', 'e2e', 'guarantees', 'security'];
const SLOW = [
  'abandoned',
  'after-close',
  'answers',
  'app-functions',
  'await-points',
  'barrage',
  'borrowed-contexts',
  'busy-process',
  'churn',
  'client-reconnect',
  'connection-context',
  'dashboard',
  'dashboard-load',
  'drain',
  'durable-identity',
  'ending-oneself',
  'failures',
  'half-sent',
  'heartbeat',
  'identity-values',
  'ids-apart',
  'leaks',
  'model',
  'planted-faults',
  'process-budget',
  'races',
  'rounds',
  'scope-ownership',
  'security-page',
  'slow-readers',
  'why',
];

/** @type {import('jest').Config} */
export default {
  ...config,
  testMatch: FOLDERS.map((folder) => `<rootDir>/test/${folder}/**/*.spec.ts`),
  testPathIgnorePatterns: SLOW.map((name) => `/${name}\\.spec\\.ts$`),
};
