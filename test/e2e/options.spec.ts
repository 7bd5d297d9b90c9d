import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  InvalidOptionsError,
  IsolatedGateway,
  IsolatedWsAdapter,
  type WebSocketIsolationOptions,
  WebSocketIsolationModule,
} from 'nestjs-websocket-isolation';
import { WebSocketIsolationDashboardModule } from 'nestjs-websocket-isolation/dashboard';
import { WebSocketIsolationHealthModule } from 'nestjs-websocket-isolation/health';
import { WebSocketIsolationMetricsModule } from 'nestjs-websocket-isolation/metrics';
import { WebSocketIsolationTracingModule } from 'nestjs-websocket-isolation/otel';
import { redisCluster } from 'nestjs-websocket-isolation/redis';
import {
  eventually,
  FakeClock,
  startTestApplication,
  TestClient,
} from 'nestjs-websocket-isolation/testing';
import { WebSocketServer } from 'ws';

import { repeat, systemClock } from '../../src/time/clock.js';
import { defaultGroups } from '../../src/config/groups.js';
import { ResumeOptions } from '../../src/config/option-groups.js';
import { resolveOptions } from '../../src/config/resolve-options.js';
import { boundFrames } from '../../src/upgrade/frame-bounds.js';
import { RawSocket, upgradeRequest } from '../support/raw-socket.js';
import { realProcess } from '../support/real-process.js';
import { startApp, type TestApp } from '../support/test-app.js';

@IsolatedGateway({ path: '/chat' })
class ChatGateway {}

let app: TestApp | undefined;
const variables: string[] = [];
afterEach(async () => {
  await app?.close();
  app = undefined;
  for (const name of variables.splice(0)) delete process.env[name];
});

function setVariable(name: string, value: string): void {
  variables.push(name);
  process.env[name] = value;
}

function messageOf(make: () => unknown): string {
  try {
    make();
    return '';
  } catch (error) {
    if (!(error instanceof InvalidOptionsError)) throw error;
    return error.message;
  }
}

async function bootFailure(give: () => unknown = () => ({})): Promise<InvalidOptionsError> {
  @Module({
    imports: [WebSocketIsolationModule.forRootAsync({ useFactory: give as never })],
  })
  class Root {}
  try {
    const made = await NestFactory.create(Root, { logger: false, abortOnError: false });
    await made.close();
  } catch (error) {
    return error as InvalidOptionsError;
  }
  throw new Error('the boot went through');
}

const durations = Object.entries({ ...defaultGroups(), resume: new ResumeOptions() }).flatMap(
  ([group, options]) =>
    Object.keys(options as object)
      .filter((name) => name.endsWith('Ms'))
      .map((name) => [group, name] as const),
);
const YEARS_MS = 1e12;

describe('numbers', () => {
  it.each([...durations, ['inbound', 'rate.perMs'] as const])(
    'of %s.%s must be whole and in range, or are refused by name',
    (group, name) => {
      const given = (value: unknown): WebSocketIsolationOptions =>
        name === 'rate.perMs'
          ? { inbound: { rate: { messages: 1, perMs: value as number } } }
          : { [group]: { [name]: value } };
      for (const good of [1, 2 ** 31, 30 * 86_400_000, YEARS_MS]) {
        expect([good, messageOf(() => resolveOptions(given(good)))]).toEqual([good, '']);
      }
      for (const bad of [Infinity, Number.NaN, -1, 1.5, '10', 1e300, 4e12, null, 10n]) {
        expect(messageOf(() => resolveOptions(given(bad)))).toContain(`${group}.${name}`);
      }
    },
  );

  it.each(['1e999', '-1', '1.5', 'ten', '', ' ', '9007199254740993', '0x'])(
    'of variables are checked as strictly: %s',
    async (text) => {
      setVariable('WS_ISOLATION_HEARTBEAT_INTERVAL_MS', text);
      const { message } = await bootFailure();
      expect(message).toContain('heartbeat.intervalMs (or WS_ISOLATION_HEARTBEAT_INTERVAL_MS) is');
    },
  );

  it('of redis must be at most an hour, or are refused by name', () => {
    for (const leaseMs of [2 ** 31, YEARS_MS, Infinity, Number.NaN, -1, 1.5, '30000']) {
      const message = messageOf(() => redisCluster({ url: 'redis://host', leaseMs } as never));
      expect(message).toContain('leaseMs');
    }
  });

  it('of a payload must not exceed the maximum that ws supports', () => {
    for (const maxPayloadBytes of [2 ** 31, 2 ** 32, 1e12]) {
      const message = messageOf(() => resolveOptions({ inbound: { maxPayloadBytes } }));
      expect(message).toContain('inbound.maxPayloadBytes');
    }
  });

  it('of a payload are bounded even if set on the adapter', () => {
    const server = new WebSocketServer({ noServer: true });
    boundFrames(server, { maxPayload: 2 ** 32 + 10 }, 65_536);
    expect(server.options.maxPayload).toBe(2 ** 31 - 1);
  });
});

describe('long waits', () => {
  it('work: every duration at 31 years, and an identity that ends in 2099, cause no warning', async () => {
    const warnings: Error[] = [];
    const warned = (warning: Error): void => void warnings.push(warning);
    realProcess.on('warning', warned);
    try {
      const options: Record<string, Record<string, unknown>> = {};
      for (const [group, name] of durations) (options[group] ??= {})[name] = YEARS_MS;
      (options['inbound'] ??= {})['rate'] = { messages: 5, perMs: YEARS_MS };
      app = await startApp({
        providers: [ChatGateway],
        options: {
          ...options,
          authenticator: () => ({ userId: 'ada', expiresAt: new Date('2099-01-01') }),
        },
      });
      const client = await app.connect('/chat');
      let pings = 0;
      client.socket.on('ping', () => (pings += 1));
      const waits = client.next('nothing', YEARS_MS).catch((error: Error) => error);
      client.send('unknown');
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(client.closeCode).toBeUndefined();
      expect(pings).toBe(0);
      await client.close();
      await app.close();
      app = undefined;
      expect(await waits).toMatchObject({
        message: expect.stringContaining('before the connection ended'),
      });
      expect(warnings.map(({ name }) => name)).not.toContain('TimeoutOverflowWarning');
    } finally {
      realProcess.off('warning', warned);
    }
  });

  it('end on time', () => {
    jest.useFakeTimers({ doNotFake: ['performance'] });
    try {
      const calls: string[] = [];
      const interval = repeat(YEARS_MS, () => void calls.push('repeat'));
      systemClock.after(YEARS_MS, () => void calls.push('after'));
      jest.advanceTimersByTime(YEARS_MS - 10);
      expect(calls).toEqual([]);
      jest.advanceTimersByTime(2_000);
      expect(calls.toSorted()).toEqual(['after', 'repeat']);
      jest.advanceTimersByTime(YEARS_MS);
      expect(calls).toHaveLength(3);
      clearInterval(interval);
    } finally {
      jest.useRealTimers();
    }
  });

  it.each([Number.NaN, -1, Infinity, '10'])(
    'of a FakeClock must be valid numbers: %s',
    async (ms) => {
      const clock = new FakeClock();
      await expect(clock.advance(ms as number)).rejects.toThrow(RangeError);
      expect(() => clock.jump(ms as number)).toThrow('FakeClock.jump()');
      expect(clock.now()).toBe(1);
    },
  );
});

describe('allowed origins', () => {
  it.each([
    'https://a.example',
    'http://localhost:4200',
    'capacitor://localhost',
    'ionic://localhost',
    'tauri://localhost',
    'chrome-extension://abcdefghijklmnop',
    'moz-extension://5f0c6a3e-0000-4000-8000-000000000000',
    'app://.',
    'file://',
    'null',
    'https://xn--mnchen-3ya.example',
    'http://[::1]:3000',
  ])('may be %s, as clients send it, and only that', async (origin) => {
    app = await startApp({
      providers: [ChatGateway],
      options: { handshake: { allowedOrigins: [origin] } },
    });
    const ask = async (Origin: string): Promise<number | undefined> => {
      const raw = await RawSocket.open(app!.port);
      raw.write(upgradeRequest('/chat?user=ada', { Origin }));
      await eventually(() => expect(raw.status).toBeDefined());
      raw.destroy();
      return raw.status;
    };
    expect(await ask(origin)).toBe(101);
    expect(await ask(`${origin}x`)).toBe(403);
    expect(await ask('https://evil.example')).toBe(403);
  });

  it.each<[unknown, string]>([
    ['https://a.example/', "entry 1: clients send 'https://a.example': write that"],
    ['https://a.example/chat', "clients send 'https://a.example'"],
    ['https://A.Example', "clients send 'https://a.example'"],
    ['https://a.example:443', "clients send 'https://a.example'"],
    ['http://a.example:80', "clients send 'http://a.example'"],
    ['https://münchen.example', "clients send 'https://xn--mnchen-3ya.example'"],
    ['https://user@a.example', "clients send 'https://a.example'"],
    ['wss://a.example', "clients send 'https://a.example'"],
    ['ws://a.example:8080/chat', "clients send 'http://a.example:8080'"],
    ['a.example', "clients send 'https://a.example'"],
    [' https://a.example', "clients send 'https://a.example'"],
    ['capacitor://localhost/', "clients send 'capacitor://localhost'"],
    ['https://*.example', 'wildcards are not supported: write a function'],
    ['*', "write allowedOrigins: '*'"],
    ['same-origin', "write allowedOrigins: 'same-origin'"],
    ['', 'it is not an origin'],
    ['https://', 'it is not an origin'],
    ['https://a.example, https://b.example', 'it is not an origin'],
    [null, 'an origin must be a string'],
    [/a\.example/, 'an origin must be a string'],
  ])('that are not exact are refused with the right spelling: %s', (origin, said) => {
    const given = { handshake: { allowedOrigins: [origin] } } as never;
    expect(messageOf(() => resolveOptions(given))).toContain(said);
  });

  it.each<[string, Record<string, string | undefined>, string, number]>([
    ['IPv6', { Host: '[::1]:3000', Origin: 'http://[::1]:3000' }, 'HTTP/1.1', 101],
    ['another port of IPv6', { Host: '[::1]:3000', Origin: 'http://[::1]:3001' }, 'HTTP/1.1', 403],
    ['a default port', { Host: 'a.example:443', Origin: 'https://a.example' }, 'HTTP/1.1', 101],
    ['another port', { Host: 'a.example:8443', Origin: 'https://a.example' }, 'HTTP/1.1', 403],
    ['upper case in Host', { Host: 'A.Example', Origin: 'https://a.example' }, 'HTTP/1.1', 101],
    ['no Host', { Host: undefined, Origin: 'https://a.example' }, 'HTTP/1.0', 403],
    ['an app beside', { Host: 'localhost', Origin: 'capacitor://localhost' }, 'HTTP/1.1', 403],
    ['no origin', { Host: 'localhost', Origin: 'null' }, 'HTTP/1.1', 403],
  ])('compared with the own origin: %s', async (_name, headers, version, status) => {
    app = await startApp({ providers: [ChatGateway] });
    const raw = await RawSocket.open(app.port);
    raw.write(upgradeRequest('', headers, `GET /chat?user=ada ${version}`));
    await eventually(() => expect(raw.status).toBeDefined());
    raw.destroy();
    expect(raw.status).toBe(status);
  });
});

describe('names', () => {
  it('of unknown variables stop the boot, and the error suggests the nearest name', async () => {
    setVariable('WS_ISOLATION_LIMITS_MAX_MANGERS', '5');
    setVariable('WS_ISOLATION_REDIS_URL', 'redis://:s3cret@host');
    setVariable('WS_ISOLATION_INBOUND_RATE', '5');
    setVariable('WS_OTHER_LIMITS_MAX_MANGERS', '5');
    const { message, code } = await bootFailure();
    expect(code).toBe('INVALID_OPTIONS');
    expect(message).toContain(
      'WS_ISOLATION_LIMITS_MAX_MANGERS: there is no such variable; did you mean WS_ISOLATION_LIMITS_MAX_MANAGERS?',
    );
    expect(message).toContain('WS_ISOLATION_REDIS_URL: there is no such variable');
    expect(message).toContain('WS_ISOLATION_INBOUND_RATE: there is no such variable');
    expect(message).not.toContain('s3cret');
    expect(message).not.toContain('WS_OTHER');
  });

  it.each<[WebSocketIsolationOptions, string]>([
    [{ limts: {} } as never, 'limts: there is no such option; did you mean limits?'],
    [
      { limits: { maxManagerPerUser: 5 } } as never,
      'limits.maxManagerPerUser: there is no such option; did you mean limits.maxManagersPerUser?',
    ],
    [
      { inbound: { rate: { message: 5, perMs: 1 } } } as never,
      'inbound.rate.message: there is no such option; did you mean inbound.rate.messages?',
    ],
    [
      { resume: { windowMS: 5 } } as never,
      'resume.windowMS: there is no such option; did you mean resume.windowMs?',
    ],
    [{ authentication: () => null } as never, 'did you mean authenticator?'],
    [{ limits: 5 } as never, 'limits is 5: must be an object of options'],
    [{ limits: null } as never, 'limits is null: must be an object of options'],
    [{ resume: true } as never, 'resume is true: must be an object of options'],
    [{ resume: null } as never, 'resume is null: must be an object of options'],
    [{ inbound: { rate: 5 } } as never, 'inbound.rate is 5: must be an object of options'],
    [{ clock: {} } as never, 'clock is {}: must be a clock, with the methods now, epoch'],
    [{ cluster: null } as never, 'cluster is null: must be a cluster'],
  ])('of unknown options, and groups that are not objects, are refused: %j', (options, said) => {
    expect(messageOf(() => resolveOptions(options))).toContain(said);
  });

  it('of variables are mentioned only for options that have one', () => {
    const message = messageOf(() =>
      resolveOptions({
        authenticator: 5,
        cluster: 5,
        clock: 5,
        inbound: { rate: { messages: 0, perMs: 1 } },
        limits: { maxManagers: 0, nonsense: 1 },
      } as never),
    );
    expect(message.match(/WS_ISOLATION_\w+/g)).toEqual([
      'WS_ISOLATION_LIMITS_MAX_MANAGERS',
      'WS_ISOLATION_INBOUND_RATE_MESSAGES',
    ]);
  });

  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['a text', 'limits'],
    ['an array', []],
    ['a promise of nothing', Promise.resolve(undefined)],
  ])('a factory that returns %s stops the boot', async (_name, options) => {
    const { code, message } = await bootFailure(() => options);
    expect(code).toBe('INVALID_OPTIONS');
    expect(message).toContain('pass an object to forRoot()');
  });

  it.each<[string, () => unknown]>([
    ['nothing', () => undefined],
    ['a promise', async () => ({ slots: {}, join: () => undefined })],
    ['a text', () => 'redis'],
  ])('a cluster definition that creates %s stops the boot', async (_name, create) => {
    const { code, message } = await bootFailure(() => ({ cluster: { create } }));
    expect(code).toBe('INVALID_OPTIONS');
    expect(message).toContain('create() has to return a cluster at once');
  });

  it('a WebSocket option of the adapter that is not a class stops the boot', async () => {
    const failing = startApp({
      providers: [ChatGateway],
      prepare: (made) =>
        made.useWebSocketAdapter(new IsolatedWsAdapter(made, { WebSocket: 'ws' } as never)),
    });
    await expect(failing).rejects.toThrow('The option WebSocket of the adapter');
  });

  it.each(['redis://host/first', 'redis://[', 'redis://:s3cret@host:port'])(
    'an invalid address of Redis stops the boot without being shown: %s',
    (url) => {
      const message = messageOf(() => redisCluster({ url }));
      expect(message).toContain('must be an address');
      expect(message).not.toContain('s3cret');
    },
  );

  it('a value that is not serializable does not hide the fault', () => {
    const circular: Record<string, unknown> = {};
    circular['self'] = circular;
    for (const value of [circular, { big: 10n }]) {
      const given = { limits: { maxManagers: value } } as never;
      expect(messageOf(() => resolveOptions(given))).toContain('limits.maxManagers');
    }
  });
});

describe('the options of', () => {
  it.each<[string, () => unknown, string]>([
    [
      'metrics',
      () => WebSocketIsolationMetricsModule.forRoot({ prefx: 'a_' } as never),
      'did you mean prefix?',
    ],
    [
      'metrics',
      () => WebSocketIsolationMetricsModule.forRoot({ registry: {} } as never),
      'must be a Registry of prom-client',
    ],
    ['metrics', () => WebSocketIsolationMetricsModule.forRoot({ path: '' }), 'must be a path'],
    [
      'health',
      () => WebSocketIsolationHealthModule.forRoot({ useage: 0.5 } as never),
      'did you mean usage?',
    ],
    [
      'health',
      () => WebSocketIsolationHealthModule.forRoot({ usage: Number.NaN }),
      'above 0 and at most 1',
    ],
    [
      'health',
      () => WebSocketIsolationHealthModule.forRoot({ eventLoopDelayMs: '200' } as never),
      'must be a number of milliseconds',
    ],
    [
      'otel',
      () => WebSocketIsolationTracingModule.forRoot({ includeIdentity: 'false' } as never),
      'must be true or false',
    ],
    [
      'otel',
      () => WebSocketIsolationTracingModule.forRoot({ includeIdentities: true } as never),
      'did you mean includeIdentity?',
    ],
    [
      'dashboard',
      () => WebSocketIsolationDashboardModule.forRoot({ gaurd: () => true } as never),
      'did you mean guard?',
    ],
    [
      'dashboard',
      () => WebSocketIsolationDashboardModule.forRoot({ allowAnonymous: 'false' } as never),
      'must be true or false',
    ],
    [
      'dashboard',
      () => WebSocketIsolationDashboardModule.forRoot({ allowAnonymous: true, maxViewers: 0 }),
      'must be a whole number from 1',
    ],
    [
      'dashboard',
      () => WebSocketIsolationDashboardModule.forRoot({ guard: 'admin' } as never),
      'must be a function or a class',
    ],
    [
      'redis',
      () => redisCluster({ url: 'redis://host', keyprefix: 'a' } as never),
      'did you mean keyPrefix?',
    ],
    ['dashboard', () => WebSocketIsolationDashboardModule.forRoot(undefined as never), 'an object'],
  ])('%s are checked as strictly', (_name, make, said) => {
    expect(messageOf(make)).toContain(said);
  });

  it('the test application are checked as strictly, and a failing prepare leaves nothing running', async () => {
    @Module({})
    class Empty {}
    await expect(
      startTestApplication(Empty, { prepair: () => undefined } as never),
    ).rejects.toThrow('did you mean prepare?');
    let isClosed = false;
    class Closing {
      onModuleDestroy(): void {
        isClosed = true;
      }
    }
    @Module({ providers: [Closing] })
    class Root {}
    const failing = startTestApplication(Root, {
      prepare: () => Promise.reject(new Error('planned failure')),
    });
    await expect(failing).rejects.toThrow('planned failure');
    expect(isClosed).toBe(true);
  });

  it('a slow reader must be a positive speed', async () => {
    app = await startApp({ providers: [ChatGateway] });
    const client = await TestClient.open(app.url('/chat?user=ada'));
    for (const speed of [0, -1, Number.NaN]) {
      expect(() => client.readSlowly(speed)).toThrow(RangeError);
    }
    client.terminate();
  });
});
