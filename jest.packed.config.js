import { fileURLToPath } from 'node:url';

import config from './jest.config.js';

const PACKED = '<rootDir>/dist-packed/package/dist';
// For the processes that tests start.
process.env.TEST_PACKAGE = fileURLToPath(new URL('dist-packed/package', import.meta.url));

// `npm run test:packed`: the tests of behaviour on the package as it is published, and not on the source. Tests of
// test/package have it anyway; those that plant faults or compare frames of the source need the source.
/** @type {import('jest').Config} */
export default {
  ...config,
  testMatch: ['e2e', 'guarantees', 'security', 'operations', 'cluster'].map(
    (folder) => `<rootDir>/test/${folder}/**/*.spec.ts`,
  ),
  testPathIgnorePatterns: [
    '/planted-faults\\.spec\\.ts$',
    '-page\\.spec\\.ts$',
    '/why\\.spec\\.ts$',
  ],
  moduleNameMapper: {
    '^nestjs-websocket-isolation$': `${PACKED}/index.js`,
    '^nestjs-websocket-isolation/(\\w+)$': `${PACKED}/$1/index.js`,
    '^(?:\\.\\./)+src/(.*)\\.js$': `${PACKED}/$1.js`,
    '^(\\.{1,2}/.*)\\.js$': ['$1.ts', '$1.js'],
  },
};
