import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  AskLimitError,
  AskRejectedError,
  NoReceiverError,
  type WebSocketIsolationOptions,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { TestRedis } from '../support/redis.js';
import { LocalNode } from './local-node.js';

/** Long enough for a busy machine. */
const PATIENCE_MS = 300_000;

type Asked = TestClient['messages'][number] & { readonly ask: string };

const next = (client: TestClient): Promise<Asked> =>
  client.next('sure?', PATIENCE_MS) as Promise<Asked>;
const settled = (asked: Promise<unknown>): Promise<unknown> =>
  asked.then(
    (value) => value,
    (error: unknown) => error,
  );
const open = (node: LocalNode, thread = 'tea'): Promise<TestClient> =>
  node.connect(`ada&thread=${thread}`);
const LONG = { timeoutMs: 600_000 };

function reply(client: TestClient, { ask }: Asked, answer: object): void {
  client.socket.send(JSON.stringify({ event: 'answer', ask, ...answer }));
}

describe('a question in a cluster', () => {
  let redis: TestRedis;
  let nodes: LocalNode[] = [];
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis.stop());
  afterEach(async () => {
    await Promise.all(nodes.map((node) => node.close()));
    nodes = [];
    await redis.command('FLUSHALL');
  });

  /** A lease that outlasts a busy machine: nodes without leases get no questions. */
  async function start(
    count: number,
    options: WebSocketIsolationOptions = {},
  ): Promise<[LocalNode, LocalNode, LocalNode]> {
    const cluster = { url: redis.url, leaseMs: 60_000, renewMs: 500 };
    for (let index = 0; index < count; index += 1) {
      nodes.push(await LocalNode.start(cluster, options));
    }
    return nodes as [LocalNode, LocalNode, LocalNode];
  }
  const nothingLeft = (): Promise<void> =>
    eventually(() => {
      const left = nodes.map(({ factory }) => factory.bookkeeping.asks);
      expect(left.map(({ size, asked }) => [size, asked])).toEqual(nodes.map(() => [0, 0]));
    }, PATIENCE_MS);

  it('is answered by a connection of any node, and the connections of all nodes are told', async () => {
    const [a, b, c] = await start(3);
    const [onA, onB, alsoOnB, onC] = await Promise.all([open(a), open(b), open(b), open(c)]);
    const asked = a.emitter.toUser('ada').ask('sure?', { what: 'it' }, LONG);
    const questions = await Promise.all([onA, onB, alsoOnB, onC].map(next));
    expect(new Set(questions.map(({ ask }) => ask)).size).toBe(1);
    reply(onB, questions[1]!, { data: { yes: true } });
    expect(await asked).toEqual({ yes: true });
    for (const client of [onA, alsoOnB, onC]) {
      const told = await client.next('answered', PATIENCE_MS);
      expect(told).toMatchObject({ ask: questions[0]!.ask });
    }
    expect(onB.messages.filter(({ event }) => event === 'answered')).toEqual([]);
    await nothingLeft();
    reply(onC, questions[3]!, { data: 'late' });
    await eventually(() => expect(c.factory.bookkeeping.asks.ignored).toBe(1), PATIENCE_MS);
  });

  it('reaches a thread on another node only, from a node without a connection', async () => {
    const [a, b] = await start(2);
    const [tea, coffee] = [await open(b), await open(b, 'coffee')];
    const asked = a.emitter.toThread('ada', 'tea').ask('sure?', null, LONG);
    reply(tea, await next(tea), { data: 5 });
    expect(await asked).toBe(5);
    expect(coffee.messages).toEqual([]);
    await nothingLeft();
  });

  it('is rejected when the last connection of all nodes rejects it, and when none is left', async () => {
    const [a, b, c] = await start(3, { inbound: { maxAsks: 1 } });
    const ada = a.emitter.toUser('ada');
    expect(await settled(ada.ask('sure?', null, LONG))).toBeInstanceOf(NoReceiverError);
    const [onB, onC] = [await open(b), await open(c)];
    const rejected = settled(ada.ask('sure?', null, LONG));
    const [atB, atC] = [await next(onB), await next(onC)];
    expect(await settled(ada.ask('sure?', null, LONG))).toBeInstanceOf(AskLimitError);
    reply(onB, atB, { error: { code: 'B', message: 'no screen' } });
    reply(onC, atC, { error: { code: 'C', message: 'no screen' } });
    expect(await rejected).toBeInstanceOf(AskRejectedError);
    await nothingLeft();

    const cut = settled(ada.ask('sure?', null, LONG));
    await Promise.all([next(onB), next(onC)]);
    onB.terminate();
    onC.terminate();
    expect(await cut).toBeInstanceOf(NoReceiverError);
    await nothingLeft();
  });

  it('is given up on all nodes by its signal', async () => {
    const [a, b] = await start(2);
    const onB = await open(b);
    const stop = new AbortController();
    const asked = settled(
      a.emitter.toUser('ada').ask('sure?', 1, { ...LONG, signal: stop.signal }),
    );
    await next(onB);
    stop.abort('enough');
    expect(await asked).toBe('enough');
    await nothingLeft();
    expect(onB.messages.filter(({ event }) => event === 'answered')).toEqual([]);
  });

  it('loses a node that leaves, and rejects with what is left', async () => {
    const [a, b] = await start(2);
    const onB = await open(b);
    const asked = settled(a.emitter.toUser('ada').ask('sure?', 1, LONG));
    await next(onB);
    await b.close();
    expect(await asked).toBeInstanceOf(NoReceiverError);
    await nothingLeft();
  });

  it('is asked again of a client that comes back to another node, also to one that starts later', async () => {
    const [a, b, c] = await start(3, { resume: {} });
    const first = await open(b);
    const asked = a.emitter.toThread('ada', 'tea').ask('sure?', 7, LONG);
    const once = await next(first);
    await first.close();
    const second = await open(c);
    expect(await next(second)).toEqual(once);
    await second.close();
    const late = await LocalNode.start(
      { url: redis.url, leaseMs: 60_000, renewMs: 500 },
      { resume: {} },
    );
    nodes.push(late);
    const third = await open(late);
    expect(await next(third)).toEqual(once);
    reply(third, once, { data: 'back' });
    expect(await asked).toBe('back');
    await nothingLeft();
  });

  it('survives messages between nodes that are no questions, or not ours', async () => {
    const [a, b] = await start(2);
    const onB = await open(b);
    const { nodeId } = b.status;
    const target = { userId: 'ada' };
    const whole = { id: 'x', event: 'sure?', frame: '{}', target, isKept: false, timeoutMs: 1 };
    const bodies: [string, unknown][] = [
      ['ask', { ...whole, asker: '' }],
      ['ask', { ...whole, asker: 'a', timeoutMs: 'long' }],
      ['ask', { ...whole, asker: 'a', target: { topic: 't' } }],
      ['ask', { ...whole, asker: 'a', frame: 'x'.repeat(10) }],
      ['ask-state', { id: 'x', nodeId: 'a', version: -1, state: { mayAnswer: true } }],
      ['ask-state', { id: 'x', nodeId: 'a', version: 1, state: { mayAnswer: 'maybe' } }],
      ['ask-state', { id: 'x', nodeId: 'a', version: 1, state: { mayAnswer: true } }],
      ['ask-end', { id: 7, isAnswered: true }],
      ['ask-end', { id: 'x', isAnswered: true }],
    ];
    const unreadable = (): number => b.status.counters.unreadable;
    const before = unreadable();
    for (const [topic, body] of bodies) {
      const text = JSON.stringify({ from: a.status.nodeId, topic, body });
      await redis.command('PUBLISH', `wsi:node@0:${nodeId}`, text);
    }
    await eventually(() => expect(unreadable()).toBe(before + 7), PATIENCE_MS);
    const asked = a.emitter.toUser('ada').ask('sure?', 1, LONG);
    reply(onB, await next(onB), { data: 'fine' });
    expect(await asked).toBe('fine');
  });
});
