/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.spec.ts'],
  injectGlobals: false, // import { describe, expect, it, jest } from '@jest/globals'
  setupFiles: ['reflect-metadata', '<rootDir>/test/support/patience.ts'],
  maxWorkers: '100%',
  // A worker keeps the modules of the specs that it has run. Specs that collect garbage take ever longer for it: a
  // new worker costs less.
  workerIdleMemoryLimit: '256MB',
  // For machines ten times slower than ours: what hangs fails all the same.
  testTimeout: 3_600_000,

  // TypeScript as native ESM: sources import './x.js', jest resolves './x.ts'.
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: {
    '^nestjs-websocket-isolation$': '<rootDir>/src/index.ts',
    '^nestjs-websocket-isolation/(\\w+)$': '<rootDir>/src/$1/index.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        swcrc: false,
        jsc: {
          target: 'es2022',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
          keepClassNames: true,
        },
        module: { type: 'es6' },
      },
    ],
  },

  collectCoverageFrom: ['src/**/*.ts'],
};
