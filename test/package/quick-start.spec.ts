import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestClient } from 'nestjs-websocket-isolation/testing';

import { linkPackages, PACKAGE, PackedApp } from '../support/packed-app.js';
import { project } from '../support/packed-package.js';
import { projectFile, quickStartFiles } from '../support/readme.js';

// The main file that `nest new` generates for ESM, with the adapter and the schedule that the test varies.
const MAIN = `
import 'reflect-metadata';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { ExpressAdapter } from '@nestjs/platform-express';
import { Interval, ScheduleModule } from '@nestjs/schedule';
import { AppModule } from './app.module.js';

@Injectable()
class Jobs {
  @Interval(50)
  tick(): void {
    console.log('tick ' + Math.round(performance.now()));
  }
}

const schedule = process.env['SCHEDULE'] === 'app' ? [ScheduleModule.forRoot()] : [];

@Module({ imports: [AppModule, ...schedule], providers: [Jobs] })
class RootModule {}

const adapter = process.env['ADAPTER'] === 'fastify' ? new FastifyAdapter() : new ExpressAdapter();
const app = await NestFactory.create(RootModule, adapter, { logger: ['error', 'warn'] });
app.enableShutdownHooks();
await app.listen(0, '127.0.0.1');
console.log('port ' + app.getHttpServer().address().port);
`;

/** Returns a file of the app that the installed version of the CLI generates. */
function cliFile(path: string): [string, string] {
  const schematics = 'node_modules/@nestjs/schematics/dist/lib/application/files/ts-esm';
  return [path, projectFile(`${schematics}/${path}`)];
}

const cliFiles = [cliFile('src/app.controller.ts'), cliFile('src/app.service.ts')];
let app: PackedApp;

beforeAll(async () => {
  app = await PackedApp.create([['src/main.ts', MAIN], ...cliFiles, ...quickStartFiles()]);
});

afterAll(() => app?.remove());

describe('the quick start of the README, in an empty app with the packed package', () => {
  it('has all its files', () => {
    expect([...quickStartFiles().keys()]).toEqual([
      'src/token.authenticator.ts',
      'src/draft-store.ts',
      'src/chat.gateway.ts',
      'src/app.module.ts',
    ]);
  });

  it('shows the messages that a client gets, in their order, in its last lines', () => {
    const [, talk] = /npx wscat[^\n]*\n([\s\S]*?)```/.exec(projectFile('README.md'))!;
    expect(
      talk!
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line.slice(2)).event),
    ).toEqual(['welcome', 'draft', 'drafts']);
  });

  it('compiles in the strictest mode', () => {
    expect(app.compile()).toEqual({ stdout: '', status: 0 });
  });

  it.each([
    ['express', 'none'],
    ['express', 'app'],
    ['fastify', 'none'],
    ['fastify', 'app'],
  ])('runs with %s, with schedule: %s', async (adapter, schedule) => {
    const child = spawn(process.execPath, ['dist/main.js'], {
      cwd: app.folder,
      env: { ...process.env, NODE_OPTIONS: '', ADAPTER: adapter, SCHEDULE: schedule },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = new Promise<string>((resolve) => {
      child.once('exit', (code, signal) => resolve(signal ?? String(code)));
    });
    const ticks: number[] = [];
    const port = await new Promise<string>((resolve, reject) => {
      void exited.then((how) => reject(new Error(`The app ended before it listened: ${how}`)));
      createInterface(child.stdout).on('line', (line) => {
        const [word, value] = line.split(' ');
        if (word === 'port') resolve(value!);
        if (word === 'tick') ticks.push(Number(value));
      });
    });
    // The request of the CLI's own end-to-end test.
    const response = await fetch(`http://127.0.0.1:${port}/`);
    expect([response.status, await response.text()]).toEqual([200, 'Hello World!']);
    const client = await TestClient.open(`ws://127.0.0.1:${port}/chat?token=ada`);
    expect(await client.next()).toEqual({ event: 'welcome', data: { you: 'ada' } });
    expect(await client.ask('draft', { text: 'hello' })).toEqual({
      event: 'drafts',
      data: ['hello'],
    });
    await expect(TestClient.open(`ws://127.0.0.1:${port}/chat`)).rejects.toMatchObject({
      status: 401,
    });
    for (let wait = 0; ticks.length < 4 && wait < 200; wait += 1) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    // A job of 50 ms that was started twice would tick in pairs.
    const gaps = ticks.slice(1).map((at, index) => at - ticks[index]!);
    expect(gaps.filter((gap) => gap >= 25).length).toBeGreaterThanOrEqual(gaps.length - 1);
    child.kill('SIGTERM');
    expect(await client.closed()).toBe(1001);
    expect(['SIGTERM', '0']).toContain(await exited);
  });
});

describe('an app with two copies of @nestjs/core', () => {
  it('fails at boot with DUPLICATE_NEST_CORE', () => {
    const modules = join(app.folder, 'two-copies/node_modules');
    mkdirSync(join(modules, '@nestjs'), { recursive: true });
    // The app's copy. The package resolves the other copy.
    cpSync(join(project, 'node_modules/@nestjs/core'), join(modules, '@nestjs/core'), {
      recursive: true,
      dereference: true,
    });
    symlinkSync(join(app.folder, 'node_modules', PACKAGE), join(modules, PACKAGE));
    linkPackages(join(project, 'node_modules'), modules);
    app.write(
      'two-copies/main.mjs',
      `import 'reflect-metadata';
       import { NestFactory } from '@nestjs/core';
       import { WebSocketIsolationModule } from '${PACKAGE}';
       try {
         const options = { logger: false, abortOnError: false };
         await NestFactory.createApplicationContext(WebSocketIsolationModule.forRoot(), options);
         console.log('started');
       } catch (error) {
         console.log(error.code + ': ' + error.message);
       }`,
    );
    const { stdout } = spawnSync(process.execPath, ['main.mjs'], {
      cwd: join(app.folder, 'two-copies'),
      encoding: 'utf8',
      timeout: 800_000,
    });
    expect(stdout).toMatch(
      /^DUPLICATE_NEST_CORE: Two copies of @nestjs\/core .*npm ls @nestjs\/core/,
    );
  });
});
