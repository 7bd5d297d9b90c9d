import type { Server } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { afterEach, describe, expect, it } from '@jest/globals';
import { HttpException, Injectable, Scope } from '@nestjs/common';
import { SubscribeMessage } from '@nestjs/websockets';
import { type HandshakeRequest, IsolatedGateway } from 'nestjs-websocket-isolation';
import { eventually } from 'nestjs-websocket-isolation/testing';

import { HandshakeService } from '../../src/handshake/handshake.service.js';
import { RawSocket, upgradeRequest } from '../support/raw-socket.js';
import { SEED } from '../support/seed.js';
import { startApp, type TestApp } from '../support/test-app.js';

// Every upgrade request ends with a 101, with another response, or with a closed socket, whatever the app and the client
// do at whichever moment.

/** Attempts, all at once. `ENDS=5000` for a long trial. */
const ATTEMPTS = Number(process.env['ENDS'] ?? 240);

const TOKEN = 'secret-token';

let state = SEED;
/** A random integer below a bound. */
function random(below: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

class NoStatus extends HttpException {
  override getStatus(): number {
    throw new Error('no status');
  }
}

const unreadable: Record<string, () => unknown> = {
  'whose prototype cannot be read': () =>
    new Proxy(new Error('x'), {
      getPrototypeOf: () => {
        throw new Error('no prototype');
      },
    }),
  'whose status cannot be read': () => new NoStatus('x', 401),
  'whose cause cannot be read': () =>
    Object.defineProperty(new HttpException('x', 401), 'cause', {
      get: () => {
        throw new Error('no cause');
      },
    }),
  'whose name cannot be read': () =>
    Object.defineProperty(new Error(`bad token ${TOKEN}`), 'name', {
      get: () => {
        throw new Error('no name');
      },
    }),
};

type Answer = (user: string) => unknown;

/** What the authenticator does, by the query. */
const answers: Record<string, Answer> = {
  identifies: (userId) => ({ userId }),
  'identifies later': async (userId) => {
    for (let turns = random(6); turns > 0; turns -= 1) await nextTurn();
    return { userId };
  },
  refuses: () => null,
  'answers nonsense': () => 7,
  'never answers': () => new Promise(() => undefined),
  'rejects with nothing': () => Promise.reject(),
};
for (const [name, make] of Object.entries(unreadable)) {
  answers[`throws an error ${name}`] = () => {
    throw make();
  };
  answers[`rejects with an error ${name}`] = async () => {
    await nextTurn();
    throw make();
  };
}
const names = Object.keys(answers);

@Injectable({ scope: Scope.REQUEST })
class Fragile {
  constructor() {
    if (random(10) === 0) throw new Error('planned');
  }
}

@IsolatedGateway({ path: '/ends' })
class EndsGateway {
  constructor(readonly fragile: Fragile) {}

  async handleConnection(): Promise<void> {
    if (random(10) === 0) throw new Error('planned');
    if (random(2) === 0) await nextTurn();
  }

  @SubscribeMessage('hello')
  hello(): string {
    return 'hello';
  }
}

let testApp: TestApp | undefined;
afterEach(async () => {
  await testApp?.close();
  testApp = undefined;
});

async function start(): Promise<number> {
  testApp = await startApp({
    providers: [EndsGateway, Fragile],
    options: {
      handshake: { timeoutMs: 300 },
      limits: { maxManagersPerUser: 2 },
      authenticator: (request: HandshakeRequest) => {
        const query = new URL(request.url!, 'http://localhost').searchParams;
        return answers[query.get('does')!]!(query.get('user')!) as never;
      },
    },
  });
  return testApp.port;
}

function requestFor(does: string, user: string): string {
  const path = `/ends?token=${TOKEN}&user=${user}&does=${encodeURIComponent(does)}`;
  const faults = [{ 'Sec-WebSocket-Version': '7' }, { 'Sec-WebSocket-Key': 'x' }, {}, {}, {}, {}];
  return upgradeRequest(path, faults[random(faults.length)]);
}

/** Sends a request as clients on bad lines do, and may leave at any moment. Resolves to whether it has stayed. */
async function attempt(raw: RawSocket, request: string): Promise<boolean> {
  const cut = random(request.length);
  const isSplit = random(3) === 0;
  if (isSplit) {
    raw.write(request.slice(0, cut));
    await nextTurn();
  }
  raw.write(isSplit ? request.slice(cut) : request);
  // An early frame, in the same packet as the request: `ping`, masked.
  if (random(4) === 0) raw.write(Buffer.from([0x89, 0x80, 0, 0, 0, 0]));
  for (let turns = random(4); turns > 0; turns -= 1) await nextTurn();
  const leaves = random(5);
  if (leaves === 0) raw.destroy();
  else if (leaves === 1) raw.socket.end();
  return leaves !== 0;
}

describe('Every upgrade request ends', () => {
  it.each(names.filter((name) => name.includes('cannot be read')))(
    'with a response where the authenticator %s',
    async (does) => {
      const port = await start();
      const raw = await RawSocket.open(port);
      raw.write(upgradeRequest(`/ends?token=${TOKEN}&user=ada&does=${encodeURIComponent(does)}`));
      await eventually(() => expect([401, 500]).toContain(raw.status));
      await eventually(() => expect(raw.isClosed).toBe(true));
    },
  );

  it(`in ${ATTEMPTS} attempts at once, whatever the app and the client do (seed ${SEED})`, async () => {
    const port = await start();
    const attempts = await Promise.all(
      Array.from({ length: ATTEMPTS }, async (_, index) => {
        const does = names[index % names.length]!;
        const raw = await RawSocket.open(port);
        const hasStayed = await attempt(raw, requestFor(does, `user-${index % 40}`));
        return { does, raw, hasStayed };
      }),
    );
    await eventually(() => {
      const open = attempts.filter(({ raw, hasStayed }) => {
        return hasStayed && raw.status === undefined && !raw.isClosed;
      });
      expect(open.map(({ does }) => does)).toEqual([]);
    });
    const { app } = testApp!;
    await eventually(() => expect(app.get(HandshakeService, { strict: false }).pending).toBe(0));
    for (const { raw } of attempts) raw.destroy();
    await eventually(async () => {
      const open = await new Promise((resolve) =>
        (app.getHttpServer() as Server).getConnections((_error, count) => resolve(count)),
      );
      expect(open).toBe(0);
    });
  });
});
