import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';

import { afterEach, describe, expect, it } from '@jest/globals';
import { type NestInterceptor, UseInterceptors } from '@nestjs/common';
import { SubscribeMessage, WsException } from '@nestjs/websockets';
import {
  CurrentManager,
  IsolatedGateway,
  LeakDetector,
  MessageSignal,
  type WebSocketIsolationOptions,
  type WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import {
  eventually,
  expectNoLeaks,
  FakeClock,
  type TestClient,
} from 'nestjs-websocket-isolation/testing';
import { map, type Observable } from 'rxjs';

import { startApp, type TestApp } from '../support/test-app.js';

const CHUNK = 'x'.repeat(16_384);

/** How often the generator has begun, has begun its `finally`, and has ended it; and the items that it has made. */
let runs = { begun: 0, ending: 0, ended: 0 };
let items = 0;
let isCancelled = false;
let openGate: () => void = () => undefined;
let gate: Promise<void>;

/** Counts, and takes some time in `finally`, as code does that releases a model or a file. */
async function* counted(body: () => AsyncGenerator): AsyncGenerator {
  runs.begun += 1;
  try {
    for await (const item of body()) {
      items += 1;
      yield item;
    }
  } finally {
    runs.ending += 1;
    await nextTurn();
    runs.ended += 1;
  }
}
const begun = { event: 'begun' };

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve());
  });
}

class Pass implements NestInterceptor {
  intercept(_context: unknown, next: { handle(): Observable<unknown> }): Observable<unknown> {
    return next.handle().pipe(map((value) => value));
  }
}

@IsolatedGateway({ path: '/stream' })
class StreamGateway {
  @SubscribeMessage('completes')
  completes(): AsyncGenerator {
    return counted(async function* () {
      yield begun;
    });
  }

  @SubscribeMessage('throws')
  throws(): AsyncGenerator {
    return counted(async function* () {
      yield begun;
      throw new WsException('broken');
    });
  }

  @SubscribeMessage('makes a circle')
  circle(): AsyncGenerator {
    return counted(async function* () {
      const circle: { self?: unknown } = {};
      circle.self = circle;
      yield circle;
      yield begun;
    });
  }

  @SubscribeMessage('waits for its signal')
  waits(@MessageSignal() signal: AbortSignal): AsyncGenerator {
    return counted(async function* () {
      yield begun;
      await aborted(signal);
    });
  }

  @UseInterceptors(Pass)
  @SubscribeMessage('waits for its signal behind an interceptor')
  intercepted(@MessageSignal() signal: AbortSignal): AsyncGenerator {
    return this.waits(signal);
  }

  @SubscribeMessage('makes items all the time')
  ticks(): AsyncGenerator {
    return counted(async function* () {
      yield begun;
      for (;;) {
        await pause(1);
        yield { event: 'tick' };
      }
    });
  }

  @SubscribeMessage('waits for its reader')
  floods(): AsyncGenerator {
    return counted(async function* () {
      for (;;) yield { event: 'flood', data: CHUNK };
    });
  }

  /** Ends late, and hears neither `return()` nor its signal. */
  @SubscribeMessage('is deaf')
  deaf(@MessageSignal() signal: AbortSignal): AsyncGenerator {
    signal.addEventListener('abort', () => (isCancelled = true));
    return counted(async function* () {
      yield begun;
      await gate;
    });
  }

  @SubscribeMessage('noop') noop(): void {
    /* returns nothing */
  }

  @SubscribeMessage('busy') async busy(@MessageSignal() signal: AbortSignal): Promise<void> {
    await aborted(signal);
  }

  @SubscribeMessage('overflow') overflow(@CurrentManager() manager: WebSocketManager): void {
    for (let sent = 0; sent < 2_000; sent += 1) manager.send('flood', CHUNK);
  }
}

let testApp: TestApp;
afterEach(async () => {
  openGate();
  await testApp.close();
});

async function start(options: WebSocketIsolationOptions = {}): Promise<TestClient> {
  runs = { begun: 0, ending: 0, ended: 0 };
  items = 0;
  isCancelled = false;
  gate = new Promise((resolve) => (openGate = resolve));
  testApp = await startApp({ providers: [StreamGateway], options });
  return testApp.connect('/stream?user=ada');
}
const factory = (): WebSocketManagerFactory => testApp.app.get(WebSocketManagerFactory);
const openStreams = (): number => factory().getStats().currentState.openStreams;

const ONCE = { begun: 1, ending: 1, ended: 1 };

async function expectOneEnd(): Promise<void> {
  await eventually(() => expect(runs).toEqual(ONCE));
  await eventually(() => expect(openStreams()).toBe(0));
  const made = items;
  for (let turns = 0; turns < 5; turns += 1) await nextTurn();
  // Neither a second end nor a further item.
  expect([runs, items]).toEqual([ONCE, made]);
  // The test itself keeps the manager reachable.
  const { suspects } = testApp.app.get(LeakDetector).getReport();
  expect(suspects.filter(({ cause }) => cause === 'abandoned')).toEqual([]);
}

describe('the finally of a generator that ends by itself runs once', () => {
  it.each([
    ['completes', 'complete', { id: 1 }],
    ['throws', 'exception', { data: { id: 1, message: 'broken' } }],
    ['makes a circle', 'exception', { data: { id: 1 } }],
  ])('where it %s', async (event, last, data) => {
    const client = await start();
    client.send(event, undefined, 1);
    const answer = await client.next(last);
    expect(answer).toMatchObject(data);
    await expectOneEnd();
    // The later end of its connection does not end it again.
    await client.close();
    await expectNoLeaks(testApp.app);
    await expectOneEnd();
  });
});

/** Resolves when the generator makes no items, because the client does not read. */
function standstill(): Promise<void> {
  let before = -1;
  return eventually(() => {
    const isStill = items > 0 && items === before;
    before = items;
    expect(isStill).toBe(true);
  });
}

async function goesOn(client: TestClient): Promise<void> {
  await client.next('complete');
  expect(client.closeCode).toBeUndefined();
  await client.close();
}

async function isClosed(
  client: TestClient,
  manager: WebSocketManager,
  closeCode: number,
): Promise<void> {
  await eventually(() => expect(manager.state).toBe('closed'));
  // A client that has not read for long may not see the close frame.
  expect([closeCode, 1006]).toContain(await client.closed());
}

interface Ending {
  readonly options?: WebSocketIsolationOptions;
  /** Ends the stream, and perhaps the connection. */
  readonly end: (client: TestClient, manager: WebSocketManager) => unknown;
  /** How the client sees the end of the connection, where it reads. */
  readonly closeCode?: number;
}

const ENDINGS: Record<string, Ending> = {
  'the client cancels the message': { end: (client) => client.send('cancel', undefined, 1) },
  'the client cancels it twice': {
    end: (client) => {
      client.send('cancel', undefined, 1);
      client.send('cancel', undefined, 1);
    },
  },
  'the client closes the connection': {
    end: (client) => client.socket.close(),
    closeCode: 1005,
  },
  'the connection is cut': { end: (client) => client.terminate(), closeCode: 1006 },
  'the client cancels and leaves': {
    end: (client) => {
      client.send('cancel', undefined, 1);
      client.socket.close();
    },
    closeCode: 1005,
  },
  'the server disconnects the user': {
    end: () => factory().disconnect({ userId: 'ada' }),
    closeCode: 4401,
  },
  'the manager is closed': { end: (_client, manager) => manager.close(), closeCode: 1000 },
  'the manager is disposed of': { end: () => factory().cleanupUser('ada'), closeCode: 1000 },
  'the application drains': { end: () => testApp.app.close(), closeCode: 1001 },
  'the rate is exceeded': {
    options: { inbound: { rate: { messages: 3, perMs: 3_600_000 } } },
    end: (client) => {
      for (let count = 0; count < 4; count += 1) client.send('noop');
    },
    closeCode: 4430,
  },
  'too much waits for handlers': {
    options: { inbound: { concurrency: 1, maxPendingBytes: 1_024 } },
    end: (client) => {
      client.send('busy');
      client.send('noop', 'x'.repeat(2_048));
    },
    closeCode: 1008,
  },
  'too much waits for the reader': { end: (client) => client.send('overflow'), closeCode: 4441 },
};

// The client is told nothing that it does not read, and a server does not wait long for it.
const IMPATIENT = { cleanup: { closeTimeoutMs: 200 } };

describe.each([
  'waits for its signal',
  'waits for its signal behind an interceptor',
  'makes items all the time',
  'waits for its reader',
])('the finally of a generator that %s runs once', (place) => {
  it.each(Object.keys(ENDINGS))('when %s', async (name) => {
    const { options, end, closeCode } = ENDINGS[name]!;
    const isFrozen = place === 'waits for its reader';
    const client = await start({ ...(isFrozen && IMPATIENT), ...options });
    const thaw = isFrozen ? client.freeze() : undefined;
    const manager = factory().managersOf('ada')[0]!;
    client.send(place, undefined, 1);
    await (isFrozen ? standstill() : client.next('begun'));
    expect(runs).toEqual({ begun: 1, ending: 0, ended: 0 });

    await end(client, manager);
    await eventually(() => expect(runs).toEqual(ONCE));
    // A client that does not read does not keep a stream whose source has ended.
    await eventually(() => expect(manager.openStreams).toEqual([]));
    thaw?.();
    await (closeCode === undefined ? goesOn(client) : isClosed(client, manager, closeCode));
    await expectOneEnd();
  });
});

describe('a generator whose finally does not run in time', () => {
  const BOUND_MS = 5_000;

  it.each([
    ['the client cancels the message', 'ready'],
    ['the client closes the connection', 'closed'],
    ['the connection is cut', 'closed'],
    ['the server disconnects the user', 'closed'],
    ['the manager is closed', 'closed'],
    ['the manager is disposed of', 'closed'],
  ])('is waited for until the bound, and its finally runs once later: %s', async (name, state) => {
    const clock = new FakeClock();
    const client = await start({ clock, cleanup: { disposeTimeoutMs: BOUND_MS } });
    const manager = factory().managersOf('ada')[0]!;
    client.send('is deaf', undefined, 1);
    await client.next('begun');
    const before = state === 'closed' ? 'closing' : 'ready';
    void ENDINGS[name]!.end(client, manager);
    await eventually(() => expect([isCancelled, manager.state]).toEqual([true, before]));
    // The close handshake of the client has a deadline of its own.
    if (state === 'closed') await client.closed();

    await clock.advance(BOUND_MS - 1);
    expect(manager.state).toBe(before);
    expect(client.messages.map(({ event }) => event)).not.toContain('complete');
    await clock.advance(1);
    await eventually(() => expect(manager.state).toBe(state));
    if (state === 'ready') await client.next('complete');
    const { suspects } = testApp.app.get(LeakDetector).getReport();
    expect(suspects).toMatchObject([{ cause: 'abandoned', label: 'stream of is deaf' }]);
    expect(runs).toEqual({ begun: 1, ending: 0, ended: 0 });

    openGate();
    await expectOneEnd();
  });
});
