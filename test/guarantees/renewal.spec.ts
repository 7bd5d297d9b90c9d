import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  type ConnectionAuthenticator,
  type ConnectionIdentity,
  CurrentManager,
  IsolatedGateway,
  IsolationEventBus,
  UserExecutionContext,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, FakeClock, TestClient } from 'nestjs-websocket-isolation/testing';

import { queryAuthenticator, startApp, type TestApp } from '../support/test-app.js';

/** The size of the load. `RENEWAL_CONNECTIONS=1000 RENEWAL_ROUNDS=60` for a long run. */
const CONNECTIONS = Number(process.env['RENEWAL_CONNECTIONS'] ?? 200);
const ROUNDS = Number(process.env['RENEWAL_ROUNDS'] ?? 5);
const HOUR = 3_600_000;

/** Credentials that name whom they belong to, and the round in which they were made. */
interface Credentials {
  readonly userId: string;
  readonly threadId?: string;
  readonly round: number;
}

/** How the authenticator waits. */
let wait: (credentials: Credentials) => Promise<void>;

@Injectable()
class Tokens implements ConnectionAuthenticator {
  authenticate(request: { url?: string | undefined }): ConnectionIdentity | null {
    const identity = queryAuthenticator(request);
    return identity && { ...identity, ...this.#details(identity.userId, 0) };
  }

  async renew(_: UserExecutionContext, credentials: unknown): Promise<ConnectionIdentity> {
    const { userId, threadId, round } = credentials as Credentials;
    await wait(credentials as Credentials);
    return { userId, ...(threadId && { threadId }), ...this.#details(userId, round) };
  }

  // The three belong together, and no handler may see parts of two.
  #details(owner: string, round: number): Pick<ConnectionIdentity, 'expiresAt' | 'metadata'> {
    return { expiresAt: clock.epoch() + HOUR + round, metadata: { owner, round } };
  }
}

const mixed: unknown[] = [];

@IsolatedGateway({ path: '/load' })
class LoadGateway {
  constructor(
    private readonly context: UserExecutionContext,
    private readonly manager: WebSocketManager,
  ) {}

  @SubscribeMessage('say')
  async say(@CurrentManager() manager: WebSocketManager): Promise<object> {
    this.#check(manager);
    await wait({ userId: '', round: 0 });
    this.#check(manager);
    return { event: 'said', data: { owner: manager.metadata['owner'] } };
  }

  @SubscribeMessage('count')
  async *count(): AsyncGenerator<object> {
    for (let item = 0; item < 3; item += 1) {
      await wait({ userId: '', round: 0 });
      this.#check(this.manager);
      yield { event: 'item', data: item };
    }
  }

  @SubscribeMessage('question')
  async question(): Promise<object> {
    const answer = await this.manager.ask('sure?');
    this.#check(this.manager);
    return { event: 'answered', data: answer };
  }

  #check({ metadata, expiresAt }: WebSocketManager): void {
    const { userId } = this.context;
    const round = expiresAt!.getTime() - clock.epoch() - HOUR;
    const isOwn = metadata['owner'] === userId && metadata['round'] === round;
    const isSame = this.context === this.manager.context && this.context.metadata['round'] === 0;
    if (!isOwn || !isSame) mixed.push({ userId, metadata, round });
  }
}

let clock: FakeClock;
let testApp: TestApp;
const clients: TestClient[] = [];

beforeEach(async () => {
  clock = new FakeClock();
  wait = () => Promise.resolve();
  testApp = await startApp({
    providers: [Tokens, LoadGateway],
    options: {
      authenticator: Tokens,
      clock,
      limits: { maxManagersPerUser: 50 },
      cleanup: { staleAfterMs: 30 * HOUR, idleTimeoutMs: 0 },
      heartbeat: { intervalMs: 64 * 30 * HOUR },
    },
  });
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.terminate();
  await testApp.close();
  mixed.length = 0;
});

const factory = (): WebSocketManagerFactory => testApp.app.get(WebSocketManagerFactory);

async function open(userId: string, threadId = 'one'): Promise<TestClient> {
  const client = await TestClient.open(testApp.url(`/load?user=${userId}&thread=${threadId}`));
  clients.push(client);
  return client;
}

const idsOf = (client: TestClient, event: string): unknown[] =>
  client.messages.filter((message) => message.event === event).map(({ id }) => id);

describe('renewals under load', () => {
  it('lose no message, mix no identities, and refuse those of others', async () => {
    // Each wait is a few turns long, another number each time.
    let turns = 0;
    wait = async () => {
      turns = (turns + 1) % 7;
      for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
    };
    const refused: unknown[] = [];
    const bus = testApp.app.get(IsolationEventBus);
    bus.on('renewal-refused', ({ reason, code }) => void refused.push([reason, code]));
    const people: { readonly userId: string; readonly client: TestClient }[] = [];
    for (let number = 0; number < CONNECTIONS; number += 1) {
      const userId = `user-${number % (CONNECTIONS / 2)}`;
      people.push({ userId, client: await open(userId, `thread-${number}`) });
    }
    for (const { client } of people) {
      client.socket.on('message', (frame: Buffer) => {
        const { ask } = JSON.parse(frame.toString()) as { ask?: string };
        if (ask) client.socket.send(JSON.stringify({ event: 'answer', ask, data: 'yes' }));
      });
    }
    for (let round = 1; round <= ROUNDS; round += 1) {
      for (const { userId, client } of people) {
        client.send('say', undefined, `say ${round} a`);
        client.send('count', undefined, `count ${round}`);
        client.send('renew', { userId, round }, `renew ${round}`);
        client.send('question', undefined, `question ${round}`);
        client.send('say', undefined, `say ${round} b`);
      }
      await eventually(() => {
        for (const { client } of people) expect(idsOf(client, 'renewed')).toHaveLength(round);
      });
    }
    await eventually(() => {
      for (const { client } of people) {
        expect(idsOf(client, 'said')).toHaveLength(2 * ROUNDS);
        expect(idsOf(client, 'item')).toHaveLength(3 * ROUNDS);
        expect(idsOf(client, 'complete')).toHaveLength(ROUNDS);
        expect(idsOf(client, 'answered')).toHaveLength(ROUNDS);
      }
    });
    for (const { userId, client } of people) {
      expect(new Set(idsOf(client, 'said')).size).toBe(2 * ROUNDS);
      const owners = client.messages.filter(({ event }) => event === 'said');
      expect(owners.every(({ data }) => data.owner === userId)).toBe(true);
      expect(client.messages.filter(({ event }) => event === 'exception')).toEqual([]);
    }
    expect(mixed).toEqual([]);
    expect(refused).toEqual([]);

    // Every second connection uses the token of another user, the others that of another thread.
    const round = ROUNDS + 1;
    for (const [place, { userId, client }] of people.entries()) {
      const stolen = place % 2 === 0 ? { userId: `${userId}x` } : { userId, threadId: 'other' };
      client.send('renew', { ...stolen, round });
    }
    const codes = await Promise.all(people.map(({ client }) => client.closed()));
    expect(new Set(codes)).toEqual(new Set([4403]));
    expect(refused).toEqual(people.map(() => ['forbidden', 4403]));
    const { factoryMetrics } = factory().getStats();
    expect(factoryMetrics.securityViolationsDetected).toBe(CONNECTIONS);
    expect(mixed).toEqual([]);
  });
});

describe('an identity that expires during its renewal', () => {
  it.each<[string, () => unknown]>([
    ['is noticed by its timer', () => clock.advance(1_000)],
    ['is noticed when the answer comes, after a sleep', () => clock.jump(1_000)],
  ])('has expired, and %s: decided once', async (_title, pass) => {
    let goOn: (() => void) | undefined;
    const decided: unknown[] = [];
    const bus = testApp.app.get(IsolationEventBus);
    bus.on('identity-renewed', (details) => void decided.push(details));
    bus.on('renewal-refused', (details) => void decided.push(details));
    wait = () => new Promise((resolve) => (goOn = resolve));
    const client = await open('ada');
    const [manager] = factory().managersOf('ada');
    await clock.advance(HOUR - 1_000);
    client.send('renew', { userId: 'ada', round: 1 }, 'it');
    await eventually(() => expect(goOn).toBeDefined());
    await pass();
    goOn!();
    expect(await client.closed()).toBe(4401);
    expect(manager!.metadata['round']).toBe(0);
    expect(decided).toEqual([]);
    expect(client.messages.filter(({ event }) => event === 'renewed')).toEqual([]);
  });
});
