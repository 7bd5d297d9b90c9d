import { afterEach, describe, expect, it } from '@jest/globals';
import { IsolatedGateway } from 'nestjs-websocket-isolation';
import { eventually, FakeClock, TestClient } from 'nestjs-websocket-isolation/testing';

import { TIMED_OUT, withDeadline } from '../../src/time/deadline.js';
import { afterSilence, SilenceCheck } from '../../src/time/silence.js';
import { AppendQueue } from '../../src/redis/append-queue.js';
import { answerWithin, RedisTimeoutError } from '../../src/redis/redis-deadline.js';
import { FakeSocket, Fleet } from '../support/fleet.js';
import { RawSocket, upgradeRequest } from '../support/raw-socket.js';
import { startApp, type TestApp } from '../support/test-app.js';

/** How long a process is frozen in these tests. */
const SLEEP_MS = 40_000;

function deferred<T>() {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => (resolve = settle));
  return { promise, resolve };
}

describe('a deadline for a remote reply', () => {
  const clock = new FakeClock();
  /** Simulates a sleep of the process, after which due timers fire. */
  const sleep = async (ms = SLEEP_MS) => {
    clock.jump(ms);
    await clock.advance(0);
  };
  it('does not end while the process that waits sleeps', async () => {
    const answer = deferred<string>();
    const waited = withDeadline(clock, 1_000, answer.promise);
    await sleep();
    await clock.advance(900);
    answer.resolve('late');
    expect(await waited).toBe('late');
  });

  it('ends after it has waited the full time again', async () => {
    const waited = withDeadline(clock, 1_000, new Promise(() => undefined));
    await sleep();
    await clock.advance(1_000);
    expect(await waited).toBe(TIMED_OUT);
    expect(clock.pendingTimers).toBe(0);
  });

  it('extends by the time slept, and no more', async () => {
    const waited = answerWithin(clock, 1_000, new Promise(() => undefined));
    const failed = waited.catch((error: unknown) => error);
    await sleep(1_300);
    await clock.advance(300);
    expect(await failed).toBeInstanceOf(RedisTimeoutError);
    expect(clock.pendingTimers).toBe(0);
  });

  it('ends even if the process sleeps repeatedly', async () => {
    let isOver = false;
    afterSilence(clock, 1_000, () => (isOver = true));
    await sleep();
    expect(isOver).toBe(false);
    await sleep();
    expect(isOver).toBe(true);
  });

  it('can be cancelled at any time', async () => {
    for (const steps of [0, 1]) {
      const release = afterSilence(clock, 1_000, () => expect('called').toBe('not called'));
      for (let step = 0; step < steps; step += 1) await sleep();
      release();
      await clock.advance(10_000);
    }
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('a check of silent peers', () => {
  it('waits for late replies after a sleep of the process, even if it was due several times', async () => {
    const clock = new FakeClock();
    const judgedAt: number[] = [];
    const check = new SilenceCheck(clock, 1_000, 2_500, () => judgedAt.push(clock.now()));
    const stop = clock.every(1_000, () => check.tick());
    const from = clock.now();
    await clock.advance(2_000);
    clock.jump(SLEEP_MS);
    await clock.advance(4_000);
    stop();
    check.stop();
    // The check is due at 3000, but its timer fires at 42000.
    const after = judgedAt.map((at) => at - from);
    expect(after).toEqual([1_000, 2_000, 44_500, 45_000, 46_000]);
    expect(clock.pendingTimers).toBe(0);
  });
});

/** Returns a socket whose peer replies when the test calls `hear`. */
function slowPeer() {
  const answers: (() => void)[] = [];
  const socket = new FakeSocket((arrive) => void answers.push(arrive));
  return { socket, hear: () => answers.splice(0).forEach((arrive) => arrive()) };
}

describe('a process that slept', () => {
  const fleet = new Fleet({ heartbeat: { intervalMs: 6_400, timeoutMs: 5_000 } });
  const { clock } = fleet;
  const sleep = async () => {
    clock.jump(SLEEP_MS);
    await clock.advance(0);
  };
  afterEach(async () => {
    fleet.heartbeat.stop();
    await fleet.factory.cleanupUser('ada');
  });

  it('does not treat a peer as dead whose pong arrives after the sleep', async () => {
    const { socket, hear } = slowPeer();
    const manager = await fleet.connect('ada', { socket });
    fleet.heartbeat.start();
    while (socket.pings === 0) await clock.advance(100);
    await sleep();
    await clock.advance(4_000);
    hear();
    expect(manager.isActive).toBe(true);
    await clock.advance(10_000);
    // Now the peer has not replied to a second ping.
    await clock.advance(10_000);
    expect(manager.isActive).toBe(false);
    hear();
  });

  it('does not cut a peer whose close frame arrives after the sleep', async () => {
    const { socket, hear } = slowPeer();
    const manager = await fleet.connect('ada', { socket });
    let isCut = false;
    socket.terminate = () => void (isCut = true);
    const closed = manager.close();
    await clock.advance(0);
    await sleep();
    await clock.advance(1_000);
    expect(isCut).toBe(false);
    hear();
    await closed;
    expect(isCut).toBe(false);
  });

  it('does not give up a message that is written after the sleep', async () => {
    const socket = new FakeSocket();
    let written: (() => void) | undefined;
    socket.send = (_data, _options, callback) => void (written = () => callback?.());
    const manager = await fleet.connect('ada', { socket });
    const sent = manager.sendAsync('news', 1);
    await sleep();
    await clock.advance(1_000);
    written!();
    await expect(sent).resolves.toBeUndefined();
  });

  it('does not give up an event that could not be sent to Redis during the sleep', async () => {
    const given: unknown[] = [];
    const queue = new AppendQueue(
      clock,
      () => false,
      () => undefined,
    );
    let isAway = true;
    let isIn = false;
    queue.add({
      history: 'tea',
      bytes: 1,
      send: async () => {
        if (isAway) throw new Error('the connection was cut');
        isIn = true;
        return 'done';
      },
      giveUp: (error) => void given.push(error),
    });
    await clock.advance(10);
    await sleep();
    // Reconnecting to Redis takes some time.
    await clock.advance(300);
    isAway = false;
    await clock.advance(1_000);
    expect({ isIn, given }).toEqual({ isIn: true, given: [] });
    queue.close();
  });
});

const hook = { passed: deferred<void>() };

@IsolatedGateway({ path: '/chat' })
class Gateway {
  handleConnection(): Promise<void> {
    return hook.passed.promise;
  }
}

describe('an application that slept', () => {
  const clock = new FakeClock();
  let identified = deferred<{ userId: string }>();
  let isAsked = false;
  let testApp: TestApp;
  const start = async () => {
    isAsked = false;
    identified = deferred();
    hook.passed = deferred();
    const authenticator = () => {
      isAsked = true;
      return identified.promise;
    };
    testApp = await startApp({ providers: [Gateway], options: { clock, authenticator } });
  };
  afterEach(() => testApp.close());

  it('accepts a client whose authentication ends after the sleep', async () => {
    await start();
    const opening = TestClient.open(testApp.url('/chat'));
    await eventually(() => expect(isAsked).toBe(true));
    clock.jump(SLEEP_MS);
    await clock.advance(1_000);
    identified.resolve({ userId: 'ada' });
    hook.passed.resolve();
    expect((await opening).closeCode).toBeUndefined();
  });

  it('refuses a client whose authentication does not end within the handshake timeout after the sleep', async () => {
    await start();
    const raw = await RawSocket.open(testApp.port);
    raw.write(upgradeRequest('/chat'));
    await eventually(() => expect(isAsked).toBe(true));
    clock.jump(SLEEP_MS);
    await clock.advance(SLEEP_MS);
    await eventually(() => expect(raw.status).toBe(408));
    raw.destroy();
  });

  it('waits for a connect hook that could not end during the sleep', async () => {
    await start();
    identified.resolve({ userId: 'ada' });
    const client = await TestClient.open(testApp.url('/chat'));
    clock.jump(SLEEP_MS);
    await clock.advance(1_000);
    hook.passed.resolve();
    await clock.advance(SLEEP_MS);
    expect(client.closeCode).toBeUndefined();
    await client.close();
  });
});
