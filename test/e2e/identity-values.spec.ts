import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, type LoggerService } from '@nestjs/common';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  type ConnectionIdentity,
  CurrentContext,
  IsolatedGateway,
  UserExecutionContext,
} from 'nestjs-websocket-isolation';
import { TestClient, UpgradeRefused } from 'nestjs-websocket-isolation/testing';

import { startApp, type TestApp } from '../support/test-app.js';

@IsolatedGateway({ path: '/who' })
class WhoGateway {
  @SubscribeMessage('who')
  who(@CurrentContext() { expiresAt, metadata, isThreadNamed }: UserExecutionContext): unknown {
    return { event: 'you', data: { expires: expiresAt !== undefined, metadata, isThreadNamed } };
  }
}

@Controller('who')
class WhoController {
  constructor(private readonly context: UserExecutionContext) {}

  @Get() who(): string {
    return this.context.userId;
  }
}

class Lines implements LoggerService {
  readonly all: string[] = [];
  readonly log = (line: unknown): void => void this.all.push(String(line));
  readonly warn = this.log;
  readonly error = this.log;
}

let testApp: TestApp | undefined;
afterEach(async () => {
  await testApp?.close();
  testApp = undefined;
});

const logger = new Lines();

async function start(identity: unknown): Promise<TestApp> {
  logger.all.length = 0;
  testApp = await startApp({
    providers: [WhoGateway],
    controllers: [WhoController],
    logger,
    options: { authenticator: () => identity as ConnectionIdentity },
  });
  return testApp;
}

/** Resolves with the status of the refusal, or 101 if the client is accepted. */
async function statusOf(app: TestApp): Promise<number> {
  try {
    const client = await TestClient.open(app.url('/who'));
    client.terminate();
    return 101;
  } catch (error) {
    if (error instanceof UpgradeRefused) return error.status;
    throw error;
  }
}

async function httpStatusOf(app: TestApp): Promise<number> {
  const { status } = await fetch(app.url('/who').replace('ws:', 'http:'));
  return status;
}

const inSeconds = (): number => Math.floor(Date.now() / 1000) + 3600;

describe('an identity from a token or a database', () => {
  it.each<[string, () => unknown, number, RegExp]>([
    [
      'the end of a token in seconds',
      () => ({ userId: 'ada', expiresAt: inSeconds() }),
      401,
      /expired at 1970-01-\d\dT.*: seconds instead of milliseconds\?.*expiresAt: exp \* 1000/,
    ],
    [
      'an end in the past',
      () => ({ userId: 'ada', expiresAt: new Date('2020-01-02T03:04:05Z') }),
      401,
      /expired at 2020-01-02T03:04:05.000Z\. The authenticator should refuse it/,
    ],
    [
      'a Set of roles',
      () => ({ userId: 'ada', metadata: { roles: new Set(['user']) } }),
      400,
      /metadata\.roles must be plain data, not a Set: give an array/,
    ],
    ['a lone surrogate', () => ({ userId: 'a\ud800' }), 400, /userId must be well-formed Unicode/],
    [
      'claims under their own names',
      () => ({ sub: 'ada' }),
      400,
      /userId is missing \(.*has sub\)/,
    ],
  ])('with %s is refused, and the log names the fix', async (_name, make, status, line) => {
    const app = await start(make());
    expect(await statusOf(app)).toBe(status);
    const refused = logger.all.filter((each) => each.startsWith('connection-refused'));
    expect(refused).toEqual([expect.stringMatching(line)]);
    // The client gets only the status.
    expect(await httpStatusOf(app)).toBe(status);
  });

  it('with null in optional fields is accepted, over HTTP too', async () => {
    const nothing = { threadId: null, runId: null, expiresAt: null, metadata: null };
    const app = await start({ userId: 'ada', ...nothing });
    const client = await TestClient.open(app.url('/who'));
    expect(await client.ask('who')).toEqual({
      event: 'you',
      data: { expires: false, metadata: {}, isThreadNamed: false },
    });
    client.terminate();
    expect(await httpStatusOf(app)).toBe(200);
  });
});
