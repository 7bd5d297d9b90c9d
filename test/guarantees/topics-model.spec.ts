import { isDeepStrictEqual } from 'node:util';

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import type { WebSocketManager } from '../../src/manager/web-socket-manager.js';
import { SEED } from '../support/seed.js';
import { TopicFleet } from '../support/topic-fleet.js';

/** The number of joins and leaves with each setting. */
const MOVES = Number(process.env['TOPIC_MODEL_MOVES'] ?? 10_000);
const LIMIT = 4;
const MOST_NAMED = 3;
const INTERVAL_MS = 1_000;
const WINDOW_MS = 20_000;
const USERS = ['ada', 'bob', 'eve', 'kim', 'lea'];
const TOPICS = ['tea', 'cake', 'wine', 'a:b', '{t:x}', '__proto__', 'ü'];

type Excepted = 'none' | 'connection' | 'user';
type Step =
  | { do: 'connect'; user: number }
  | { do: 'close' | 'leave the network'; which: number }
  | { do: 'join' | 'leave'; which: number; topic: number }
  | { do: 'join with presence'; which: number; topic: number; mood: number }
  | { do: 'send'; which: number; topic: number; except: Excepted }
  | { do: 'send to all'; which: number; except: Excepted }
  | { do: 'tick' };

const which = fc.nat(11);
const topic = fc.nat(TOPICS.length - 1);
const except = fc.constantFrom<Excepted>('none', 'connection', 'user');
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('connect' as const), user: fc.nat(USERS.length - 1) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('close', 'leave the network'), which }),
  },
  { weight: 14, arbitrary: fc.record({ do: fc.constantFrom('join', 'leave'), which, topic }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('join with presence' as const),
      which,
      topic,
      mood: fc.nat(),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('send' as const), which, topic, except }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('send to all' as const), which, except }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('tick' as const) }) },
);

// There are millions of comparisons, and those of Jest are slow.
function expectSame(actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected)) expect(actual).toEqual(expected);
}

/** The model's state of a topic. */
class Room {
  /** In the order of their latest presence. */
  readonly members = new Map<WebSocketManager, number | undefined>();
  /** The users that members have been told of. */
  told = new Set<string>();
  /** Whether users have joined or left since members were told. */
  hasChanged = false;
  sent = 0;

  get users(): Set<string> {
    return new Set([...this.members.keys()].map(({ context }) => context.userId));
  }

  get list(): object[] {
    return [...this.users].toSorted().map((userId) => {
      const own = [...this.members].filter(([{ context }]) => context.userId === userId);
      const mood = own.flatMap(([, each]) => each ?? []).at(-1);
      const user = { userId, connections: own.length };
      return mood === undefined ? user : Object.assign(user, { presence: { mood } });
    });
  }
}

/** Topics, and their model. */
class Comparison {
  readonly system: TopicFleet;
  readonly alive: WebSocketManager[] = [];
  readonly closed: WebSocketManager[] = [];
  readonly rooms = new Map<string, Room>();
  moves = 0;
  deliveries = 0;
  refusals = 0;

  constructor(private readonly hasHistory: boolean) {
    this.system = new TopicFleet({
      maxPerConnection: LIMIT,
      presence: true,
      presenceIntervalMs: INTERVAL_MS,
      presenceMaxMembers: MOST_NAMED,
      ...(hasHistory && { history: { windowMs: WINDOW_MS } }),
    });
  }

  pick(index: number): WebSocketManager | undefined {
    return this.alive[index % this.alive.length];
  }

  topicsOf(manager: WebSocketManager): string[] {
    return [...this.rooms].filter(([, { members }]) => members.has(manager)).map(([name]) => name);
  }

  left(manager: WebSocketManager, name: string): void {
    const room = this.rooms.get(name)!;
    const before = room.users.size;
    room.members.delete(manager);
    room.hasChanged ||= room.users.size < before;
    if (room.members.size === 0) this.rooms.delete(name);
  }

  async join(manager: WebSocketManager, name: string, mood?: number): Promise<void> {
    this.moves += 1;
    const known = this.rooms.get(name);
    const joined = manager.join(name, mood === undefined ? {} : { presence: { mood } });
    if (!known?.members.has(manager) && this.topicsOf(manager).length >= LIMIT) {
      this.refusals += 1;
      await expect(joined).rejects.toMatchObject({ code: 'TOPIC_LIMIT', limit: LIMIT });
      return;
    }
    await joined;
    const room = known ?? new Room();
    this.rooms.set(name, room);
    const before = room.users.size;
    const kept = room.members.get(manager);
    if (mood !== undefined) room.members.delete(manager);
    room.members.set(manager, mood ?? kept);
    room.hasChanged ||= room.users.size > before;
  }

  leave(manager: WebSocketManager, name: string): void {
    this.moves += 1;
    const isIn = this.rooms.get(name)?.members.has(manager) ?? false;
    expect(manager.leave(name)).toBe(isIn);
    if (isIn) this.left(manager, name);
  }

  async close(manager: WebSocketManager, end: () => unknown): Promise<void> {
    for (const name of this.topicsOf(manager)) this.left(manager, name);
    this.alive.splice(this.alive.indexOf(manager), 1);
    this.closed.push(manager);
    await end();
    await expect(manager.join('tea')).rejects.toMatchObject({ code: 'MANAGER_CLOSED' });
  }

  async send(from: WebSocketManager | undefined, excepted: Excepted, name?: string): Promise<void> {
    const { emitter, fleet } = this.system;
    const shared = name === undefined ? emitter.toAll() : emitter.toTopic(name);
    const { connectionId = 'none', userId = 'none' } = from?.context ?? {};
    const audience =
      excepted === 'none'
        ? shared
        : shared.except(excepted === 'connection' ? { connectionId } : { userId });
    const room = name === undefined ? undefined : this.rooms.get(name);
    const addressed = name === undefined ? this.alive : [...(room?.members.keys() ?? [])];
    const receivers = addressed.filter(
      ({ context }) =>
        excepted === 'none' ||
        (excepted === 'connection'
          ? context.connectionId !== connectionId
          : context.userId !== userId),
    );
    this.#quiet();
    const report = audience.send('said', this.moves);
    await fleet.clock.settle();
    expectSame(report, { sent: receivers.length, queued: 0, dropped: 0 });
    this.deliveries += receivers.length;
    const isNumbered = name !== undefined && this.hasHistory;
    for (const manager of [...this.alive, ...this.closed]) {
      const frames = this.system.newFramesOf(manager);
      const got = frames.map(({ event, data, topic: of, position }) => [
        event,
        data as unknown,
        of,
        typeof position,
      ]);
      const delivery = ['said', this.moves, name, isNumbered ? 'string' : 'undefined'];
      expectSame(got, receivers.includes(manager) ? [delivery] : []);
    }
  }

  // Every topic whose users have changed tells its members once.
  async tick(): Promise<void> {
    this.#quiet();
    await this.system.fleet.clock.advance(INTERVAL_MS);
    const due = new Map<string, object>();
    for (const [name, room] of this.rooms) {
      if (!room.hasChanged) continue;
      const { users, told } = room;
      const isNamed = users.size <= MOST_NAMED;
      const joined = isNamed ? [...users].filter((user) => !told.has(user)).toSorted() : [];
      const left = isNamed ? [...told].filter((user) => !users.has(user)).toSorted() : [];
      room.told = users;
      room.hasChanged = false;
      if (isNamed && joined.length + left.length === 0) continue;
      due.set(name, { joined, left, count: users.size });
    }
    for (const manager of [...this.alive, ...this.closed]) {
      const frames = this.system.newFramesOf(manager);
      const got = frames.map(({ event, topic: name, data }) => [
        name!,
        event,
        Object.assign({}, data, {
          joined: data!.joined!.toSorted(),
          left: data!.left!.toSorted(),
        }),
      ]);
      const own = this.topicsOf(manager).filter((name) => due.has(name));
      const wanted = own.map((name) => [name, 'presence', due.get(name)]);
      expectSame(got.toSorted(byName), wanted.toSorted(byName));
    }
  }

  #quiet(): void {
    for (const manager of [...this.alive, ...this.closed]) {
      expectSame(this.system.newFramesOf(manager), []);
    }
  }

  async compare(): Promise<void> {
    const { topics, presence } = this.system;
    const sizes = [...this.rooms.values()].map(({ members }) => members.size);
    const memberships = sizes.reduce((sum, size) => sum + size, 0);
    expectSame([topics.size, topics.memberships], [this.rooms.size, memberships]);
    for (const manager of this.alive) {
      expectSame([...manager.topics].toSorted(), this.topicsOf(manager).toSorted());
      expectSame(topics.countOf(manager), manager.topics.size);
    }
    for (const manager of this.closed) expectSame(manager.topics.size, 0);
    for (const name of TOPICS) {
      const room = this.rooms.get(name) ?? new Room();
      const members = await presence.members(name);
      const sorted = members.toSorted((one, other) => (one.userId < other.userId ? -1 : 1));
      expectSame(sorted, room.list);
      expectSame(await presence.count(name), room.users.size);
    }
    const online: string[] = [];
    for await (const userId of presence.online()) online.push(userId);
    const users = new Set(this.alive.map(({ context }) => context.userId));
    expectSame(online, [...users].toSorted());
    for (const user of USERS) expectSame(await presence.isOnline(user), users.has(user));
  }

  async end(): Promise<void> {
    const { fleet } = this.system;
    await Promise.all(this.alive.map((manager) => manager.close()));
    await fleet.clock.advance(WINDOW_MS * 3);
    expect(this.system.left).toEqual({
      topics: 0,
      memberships: 0,
      pending: 0,
      timers: 0,
      histories: 0,
    });
    if (this.system.memory) expect(this.system.memory.bytes).toBe(0);
    for (const manager of [...this.alive, ...this.closed]) {
      expect(this.system.topics.countOf(manager)).toBe(0);
    }
  }
}

function byName([one]: readonly unknown[], [other]: readonly unknown[]): number {
  return String(one) < String(other) ? -1 : 1;
}

async function take(pair: Comparison, next: Step): Promise<void> {
  const { fleet } = pair.system;
  if (next.do === 'connect') {
    if (pair.alive.length < 12) pair.alive.push(await fleet.connect(USERS[next.user]!));
    return;
  }
  if (next.do === 'tick') return pair.tick();
  const manager = pair.pick(next.which);
  if (next.do === 'send') return pair.send(manager, next.except, TOPICS[next.topic]);
  if (next.do === 'send to all') return pair.send(manager, next.except);
  if (!manager) return;
  if (next.do === 'close') return pair.close(manager, () => manager.close());
  if (next.do === 'leave the network') {
    return pair.close(manager, () => fleet.socketOf(manager).leave(1006));
  }
  if (!('topic' in next)) return;
  const name = TOPICS[next.topic]!;
  if (next.do === 'join') return pair.join(manager, name);
  if (next.do === 'join with presence') return pair.join(manager, name, next.mood);
  if (next.do === 'leave') pair.leave(manager, name);
}

describe.each([
  ['without a history', false],
  ['with a history', true],
])('topics %s', (_title, hasHistory) => {
  it(`agree with their model over ${MOVES} joins and leaves (seed ${SEED})`, async () => {
    const done = { moves: 0, deliveries: 0, refusals: 0 };
    for (let round = 0; done.moves < MOVES; round += 1) {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 60, maxLength: 150 }), async (steps) => {
          const pair = new Comparison(hasHistory);
          for (const next of steps) {
            await take(pair, next);
            await pair.system.fleet.clock.settle();
            await pair.compare();
          }
          await pair.end();
          done.moves += pair.moves;
          done.deliveries += pair.deliveries;
          done.refusals += pair.refusals;
        }),
        { numRuns: 20, seed: SEED + round },
      );
    }
    expect(done.deliveries).toBeGreaterThan(MOVES / 10);
    expect(done.refusals).toBeGreaterThan(0);
  });
});
