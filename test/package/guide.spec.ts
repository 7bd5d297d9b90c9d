import { spawnSync } from 'node:child_process';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { PackedApp } from '../support/packed-app.js';
import { guideFiles } from '../support/readme.js';
import { TestRedis } from '../support/redis.js';

let app: PackedApp;
const files = guideFiles();

// `skipLibCheck`, because the quick start already checks the types of libraries.
beforeAll(async () => {
  app = await PackedApp.create(files, { skipLibCheck: true });
});

afterAll(() => app?.remove());

describe('the app of the guide, with the packed package', () => {
  it('compiles in the strictest mode', () => {
    expect(app.compile()).toEqual({ stdout: '', status: 0 });
  });

  it('passes its own tests', async () => {
    // For the queue of the ecosystem page. The apps share no cluster: their tests run at the same time.
    await using redis = await TestRedis.start();
    const specs = [...files.keys()].filter((path) => path.endsWith('.spec.ts'));
    const compiled = specs.map((path) => path.replace(/^src(.*)\.ts$/, 'dist$1.js'));
    const { stdout } = spawnSync(
      process.execPath,
      ['--import', 'reflect-metadata', '--expose-gc', '--test', '--test-reporter=tap', ...compiled],
      {
        cwd: app.folder,
        encoding: 'utf8',
        env: { ...process.env, NODE_OPTIONS: '', NODE_ENV: 'test', QUEUE_REDIS_URL: redis.url },
        timeout: 800_000,
      },
    );
    const written = specs.flatMap((path) => files.get(path)!.match(/^it\(/gm) ?? []).length;
    expect({ written, failures: stdout.match(/^ *not ok .*/gm) ?? [], stdout }).toEqual({
      written: expect.any(Number),
      failures: [],
      stdout: expect.stringContaining(`# pass ${written}\n`),
    });
    expect(written).toBeGreaterThan(10);
  });
});
