import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { TopicsOptions } from 'nestjs-websocket-isolation';
import { eventually, type TestClient } from 'nestjs-websocket-isolation/testing';

import { closeClients, watched } from '../support/clients.js';
import { ClusterNode } from '../support/cluster.js';
import { TestRedis } from '../support/redis.js';
import { LocalNode } from './local-node.js';

const PATIENCE_MS = 900_000;

let redis: TestRedis;
const nodes: LocalNode[] = [];
const processes: ClusterNode[] = [];

beforeAll(async () => {
  redis = await TestRedis.start();
});
afterEach(async () => {
  await Promise.all(processes.splice(0).map((node) => node.kill()));
  await Promise.all(nodes.splice(0).map((node) => node.close()));
  await redis.command('FLUSHALL');
});
afterAll(() => redis.stop());

type Given = Partial<Omit<TopicsOptions, 'history'>> & {
  history?: Partial<NonNullable<TopicsOptions['history']>>;
};

async function start(topics: Given = {}): Promise<LocalNode> {
  const node = await LocalNode.start(
    { url: redis.url },
    { topics: { authorizer: () => true, ...topics } },
  );
  nodes.push(node);
  return node;
}

const soon = (assertion: () => void | Promise<void>): Promise<void> =>
  eventually(assertion, PATIENCE_MS);
const events = ({ messages }: TestClient): string[] => messages.map(({ event }) => event);
const datas = ({ messages }: TestClient, event: string): unknown[] =>
  messages.filter((message) => message.event === event).map(({ data }) => data as unknown);
const topicKeys = async (): Promise<string[]> =>
  ((await redis.command('KEYS', '*{t:*')) as string[]).toSorted();

describe('a client that comes while Redis is away', () => {
  it('subscribes, sends what waits, and gets a gap and its events when Redis is back', async () => {
    const settings = { url: redis.url, acquireTimeoutMs: 200, commandTimeoutMs: 200 };
    const node = await LocalNode.start(settings, {
      topics: { authorizer: () => true, history: {} },
    });
    nodes.push(node);
    redis.freeze();
    try {
      await node.becomes('local');
      const { client, errors, gaps, messages } = watched(
        `ws://127.0.0.1:${node.port}/chat?user=ada`,
      );
      let subscribed = 0;
      client.subscribe('tea', () => undefined, { onSubscribed: () => void (subscribed += 1) });
      // It waits for the reply to the subscription.
      expect(await client.request('echo', 'hello', { timeoutMs: PATIENCE_MS })).toBe('hello');
      expect(subscribed).toBe(1);
      expect(gaps).toEqual([]);
      redis.thaw();
      await soon(() => expect(gaps).toEqual([{ topic: 'tea' }]));
      node.emitter.toTopic('tea').send('said', 'back');
      await soon(() => expect(messages.at(-1)).toMatchObject({ event: 'said', data: 'back' }));
      expect(errors).toEqual([]);
    } finally {
      redis.thaw();
      closeClients();
    }
  });
});

describe('topics on two nodes', () => {
  it('reach members on both, without those excepted', async () => {
    const [one, two] = [await start(), await start()];
    const ada = await one.member('ada', 'tea');
    const bob = await two.member('bob', 'tea');
    const eve = await two.member('eve');
    one.emitter.toTopic('tea').send('a');
    expect(await one.emitter.toTopic('tea').sendAsync('b')).toMatchObject({ sent: 2, silent: [] });
    await one.emitter.toTopic('tea').except({ userId: 'bob' }).sendAsync('c');
    expect(await two.emitter.toAll().sendAsync('d')).toMatchObject({ sent: 3, silent: [] });
    await two.emitter.toAll().except({ userId: 'ada' }).sendAsync('e');
    await soon(() => expect(events(ada)).toEqual(['a', 'b', 'c', 'd']));
    await soon(() => expect(events(bob)).toEqual(['a', 'b', 'd', 'e']));
    await soon(() => expect(events(eve)).toEqual(['d', 'e']));
  });

  it('ask only nodes with members', async () => {
    const [one, two, three] = [await start(), await start(), await start()];
    await one.member('ada', 'tea');
    await two.member('bob', 'tea');
    const report = await one.emitter.toTopic('tea').sendAsync('said');
    const ids = [one, two].map(({ status }) => status.nodeId);
    expect(Object.keys(report.nodes).toSorted()).toEqual(ids.toSorted());
    expect(Object.keys(report.nodes)).not.toContain(three.status.nodeId);
    const nobody = await three.emitter.toTopic('cake').sendAsync('said');
    expect(nobody).toMatchObject({ sent: 0, silent: [] });
  });

  it('know their members and who is online, as soon as joining has resolved', async () => {
    const [one, two] = [await start(), await start()];
    const ada = await one.member('ada', 'tea');
    await two.member('ada', 'tea');
    await two.member('bob', 'tea');
    for (const { presence } of [one, two]) {
      expect(await presence.count('tea')).toBe(2);
      expect(
        (await presence.members('tea')).toSorted((a, b) => (a.userId < b.userId ? -1 : 1)),
      ).toEqual([
        { userId: 'ada', connections: 2 },
        { userId: 'bob', connections: 1 },
      ]);
      expect(await presence.isOnline('bob')).toBe(true);
      expect(await presence.isOnline('eve')).toBe(false);
      const online: string[] = [];
      for await (const userId of presence.online()) online.push(userId);
      expect(online.toSorted()).toEqual(['ada', 'bob']);
    }
    await ada.close();
    await soon(async () => {
      expect(await two.presence.members('tea')).toContainEqual({ userId: 'ada', connections: 1 });
    });
    expect(await one.presence.count('tea')).toBe(2);
  });

  it('tell their members who has joined and left, on whichever node', async () => {
    const given = { presence: true, presenceIntervalMs: 50 };
    const [one, two] = [await start(given), await start(given)];
    const ada = await one.member('ada', 'tea');
    await soon(() => expect(datas(ada, 'presence')).toHaveLength(1));
    const bob = await two.member('bob', 'tea');
    await two.member('ada', 'tea');
    await soon(() =>
      expect(datas(ada, 'presence').at(-1)).toEqual({ joined: ['bob'], left: [], count: 2 }),
    );
    await bob.close();
    await soon(() =>
      expect(datas(ada, 'presence').at(-1)).toEqual({ joined: [], left: ['bob'], count: 1 }),
    );
  });

  it('number events in one order for all, and send what a client has missed on another node', async () => {
    const [one, two] = [await start({ history: {} }), await start({ history: {} })];
    const ada = await one.connect('ada');
    const bob = await two.connect('bob');
    await ada.subscribe('tea');
    await bob.subscribe('tea');
    for (let index = 0; index < 20; index += 1) {
      (index % 2 ? one : two).emitter.toTopic('tea').send('said', index);
    }
    await soon(() => expect(datas(ada, 'said')).toHaveLength(20));
    await soon(() => expect(datas(bob, 'said')).toEqual(datas(ada, 'said')));
    const { position } = ada.messages.at(-1)!;
    await ada.close();
    await two.emitter.toTopic('tea').sendAsync('said', 'missed');
    const back = await two.connect('ada');
    await back.subscribe('tea', position);
    await two.emitter.toTopic('tea').sendAsync('said', 'live');
    await soon(() => expect(datas(back, 'said')).toEqual(['missed', 'live']));
    expect(datas(back, 'resume')).toEqual([{ status: 'recovered', missed: 1 }]);
  });

  it('keep at most `maxTotalBytes` of all topics that a node sends to, and give up the oldest with a gap', async () => {
    const history = { maxTotalBytes: 8_192 };
    const [one, two] = [await start({ history }), await start({ history })];
    const client = await two.connect('ada');
    const names = Array.from({ length: 12 }, (_, index) => `room:${index}`);
    const positions: string[] = [];
    for (const name of names) positions.push((await client.subscribe(name)).position!);
    for (const name of names) await one.emitter.toTopic(name).sendAsync('said', 'x'.repeat(1_500));
    await soon(() => expect(datas(client, 'said')).toHaveLength(names.length));
    await soon(async () => {
      const keys = (await topicKeys()).filter((key) => key.endsWith(':history'));
      expect(keys).toHaveLength(names.length);
      const bytes = await Promise.all(keys.map((key) => redis.command('HGET', key, 'b')));
      const sum = bytes.reduce<number>((total, each) => total + Number(each), 0);
      expect(sum).toBeLessThanOrEqual(8_192);
      expect(sum).toBeGreaterThan(3_000);
    });
    const late = await two.connect('bob');
    await late.subscribe(names[0]!, positions[0]);
    await late.subscribe(names.at(-1)!, positions.at(-1));
    await soon(() =>
      expect(datas(late, 'resume')).toEqual([
        { status: 'gap' },
        { status: 'recovered', missed: 1 },
      ]),
    );
    // A topic that was given up goes on.
    await one.emitter.toTopic(names[0]!).sendAsync('said', 'on');
    await soon(() => expect(datas(late, 'said').at(-1)).toBe('on'));
  });

  it('warn where `topics.presence` differs between nodes', async () => {
    const one = await start({ presence: true });
    const two = await start();
    await two.member('bob', 'tea');
    await one.member('ada', 'tea');
    await soon(() =>
      expect(two.warnings).toEqual([expect.stringContaining('`topics.presence` is on at other')]),
    );
    await one.member('eve', 'tea');
    expect(two.warnings).toHaveLength(1);
  });

  it('are published to each node once, however many members it has', async () => {
    const [one, two] = [await start(), await start()];
    const members = await Promise.all(
      Array.from({ length: 30 }, (_, index) => [one, two][index % 2]!.member(`u${index}`, 'tea')),
    );
    const bus: string[] = [];
    const listener = await redis.subscriber();
    for (const { status } of [one, two]) {
      await listener.subscribe(`wsi:node@0:${status.nodeId}`, (text) => {
        if (text.includes('"deliver"')) bus.push(text);
      });
    }
    for (let index = 0; index < 10; index += 1) one.emitter.toTopic('tea').send('said', index);
    for (const member of members) await soon(() => expect(datas(member, 'said')).toHaveLength(10));
    // The node that sends delivers to its own members itself.
    await soon(() => expect(bus).toHaveLength(10));
    listener.destroy();
  });

  it('give a gap to a client with a position that it has made up, and to no other', async () => {
    const [one, two] = [await start({ history: {} }), await start({ history: {} })];
    const ada = await one.connect('ada');
    await ada.subscribe('tea');
    await one.emitter.toTopic('tea').sendAsync('said', 1);
    await soon(() => expect(datas(ada, 'said')).toEqual([1]));
    const [epoch] = ada.messages.at(-1)!.position!.split('.');
    const eve = await two.connect('eve');
    for (const round of [1, 2, 3]) {
      await eve.subscribe('tea', `${epoch}.${round}000000`);
      await soon(() => expect(datas(eve, 'resume')).toHaveLength(round));
      await two.emitter.toTopic('tea').sendAsync('said', round + 1);
    }
    await soon(() => expect(datas(ada, 'said')).toEqual([1, 2, 3, 4]));
    expect(datas(ada, 'resume')).toEqual([]);
    const epochs = ada.messages.flatMap(({ position }) => position?.split('.')[0] ?? []);
    expect(new Set(epochs)).toEqual(new Set([epoch]));
    await soon(() => expect(datas(eve, 'said')).toEqual([1, 2, 1, 2, 3, 1, 2, 3, 4]));
    expect(datas(eve, 'resume')).toEqual([1, 2, 3].map(() => ({ status: 'gap' })));
  });

  it('leave nothing in Redis when the last member has left and the window has passed', async () => {
    const given = { history: { windowMs: 400 }, presence: true };
    const [one, two] = [await start(given), await start(given)];
    const clients = [await one.member('ada', 'tea', 'cake'), await two.member('bob', 'tea')];
    await one.emitter.toTopic('tea').sendAsync('said');
    expect((await topicKeys()).length).toBeGreaterThan(3);
    for (const client of clients) await client.close();
    await soon(async () => expect(await topicKeys()).toEqual([]));
    expect([one.memberships, two.memberships]).toEqual([0, 0]);
  });

  it('lose the members of a node that is killed, within a lease', async () => {
    const node = await start({ presence: true, presenceIntervalMs: 20 });
    const other = await ClusterNode.start(
      redis.url,
      {},
      { options: { topics: { presence: true } } },
    );
    processes.push(other);
    const ada = await node.member('ada', 'tea');
    const bob = await other.connect('bob');
    await bob.subscribe('tea');
    await soon(async () => expect(await node.presence.count('tea')).toBe(2));
    await other.kill();
    await soon(async () => expect(await node.presence.count('tea')).toBe(1));
    await soon(() =>
      expect(datas(ada, 'presence').at(-1)).toEqual({ joined: [], left: ['bob'], count: 1 }),
    );
  });

  it('are told to Redis again when Redis has lost everything', async () => {
    const [one, two] = [await start(), await start()];
    await one.member('ada', 'tea');
    await two.member('bob', 'tea');
    await redis.command('FLUSHALL');
    await soon(async () => expect(await one.presence.count('tea')).toBe(2));
    expect(await one.emitter.toTopic('tea').sendAsync('said')).toMatchObject({ sent: 2 });
  });

  it('survive data that another program has written under their keys', async () => {
    const [one, two] = [await start(), await start()];
    await one.member('ada', 'tea');
    await two.member('bob', 'tea');
    for (const key of await topicKeys()) await redis.command('SET', key, 'not ours');
    await soon(async () => expect(await one.presence.count('tea')).toBe(2));
    await soon(async () => expect(await two.presence.count('tea')).toBe(2));
  });
});
