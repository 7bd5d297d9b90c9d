import { describe, expect, it } from '@jest/globals';
import fc, { type Scheduler } from 'fast-check';

import { ConnectionCode } from '../../src/context/connection-code.js';
import { runInContext } from '../../src/context/running-code.js';
import { UserExecutionContext } from '../../src/context/user-execution-context.js';
import type { ConnectionHooks } from '../../src/manager/manager-owner.js';
import type { WebSocketManager } from '../../src/manager/web-socket-manager.js';
import { SEED } from '../support/seed.js';
import { type Decisions, TopicFleet, type TopicFrame } from '../support/topic-fleet.js';

/** The number of runs. `TOPIC_RACE_RUNS=20000` for a long run. */
const RUNS = Number(process.env['TOPIC_RACE_RUNS'] ?? 1_500);
const WINDOW_MS = 10_000;
const LIMIT = 2;

/** Waits that the test ends one by one. */
class Gate {
  readonly #waiting: (() => void)[] = [];
  readonly pass = (): Promise<void> => new Promise((resolve) => this.#waiting.push(resolve));

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Ends the oldest wait. */
  open(): void {
    this.#waiting.shift()?.();
  }
}

const NEVER = new Promise<never>(() => undefined);
const GRANT = {};

async function start(
  decisions: Decisions,
  options: ConstructorParameters<typeof TopicFleet>[0] = {},
): Promise<{ room: TopicFleet; ada: WebSocketManager; settle: () => Promise<void> }> {
  const room = new TopicFleet(options, decisions);
  const ada = await room.fleet.connect('ada');
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 3; turn += 1) await room.fleet.clock.settle();
  };
  return { room, ada, settle };
}

async function nothingLeft(room: TopicFleet): Promise<void> {
  await room.fleet.clock.advance(WINDOW_MS * 3);
  expect(room.left).toEqual({ topics: 0, memberships: 0, pending: 0, timers: 0, histories: 0 });
}

const said = (frames: readonly TopicFrame[]): unknown[] =>
  frames.filter(({ event }) => event === 'said').map(({ data }) => data as unknown);

describe.each([
  ['without a history', {}],
  ['with a history', { history: { windowMs: WINDOW_MS } }],
])('a subscription %s', (_title, options) => {
  it('leaves nothing pending when the connection closes and the authorizer never answers', async () => {
    const signals: AbortSignal[] = [];
    const { room, ada, settle } = await start(
      {
        authorize: (_context, _topic, signal) => {
          signals.push(signal);
          return NEVER;
        },
      },
      options,
    );
    room.subscribe(ada, 'tea');
    room.subscribe(ada, 'cake');
    await settle();
    expect(room.requests.pending).toBe(2);
    await ada.close();
    await settle();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
    expect(room.left).toMatchObject({ pending: 0, timers: 0 });
    await nothingLeft(room);
  });

  it('is not joined when the connection closes while the authorizer thinks', async () => {
    const gate = new Gate();
    const authorize = (): Promise<object> => gate.pass().then(() => GRANT);
    const { room, ada, settle } = await start({ authorize }, options);
    room.subscribe(ada, 'tea');
    await ada.close();
    gate.open();
    await settle();
    expect(room.topics.memberships).toBe(0);
    await nothingLeft(room);
  });

  it('is not joined when the authorizer closes the connection before it answers', async () => {
    const { room, ada, settle } = await start(
      {
        authorize: () => {
          void ada.close();
          return GRANT;
        },
      },
      options,
    );
    room.subscribe(ada, 'tea');
    await settle();
    expect(room.topics.memberships).toBe(0);
    await nothingLeft(room);
  });

  it('leaves nothing when the connection closes before the cluster knows of the member', async () => {
    const gate = new Gate();
    const { room, ada, settle } = await start({ known: gate.pass }, options);
    const joined = ada.join('tea');
    room.subscribe(ada, 'cake');
    await settle();
    expect(room.topics.memberships).toBe(2);
    await ada.close();
    while (gate.waiting > 0) gate.open();
    await joined;
    await settle();
    expect(gate.waiting).toBe(0);
    await nothingLeft(room);
  });

  it('is refused when the client unsubscribes before the cluster knows of the member', async () => {
    const gate = new Gate();
    const { room, ada, settle } = await start({ known: gate.pass }, options);
    const subscribed = room.subscribe(ada, 'tea');
    await settle();
    const unsubscribed = room.unsubscribe(ada, 'tea');
    while (gate.waiting > 0) gate.open();
    await settle();
    expect(room.answersTo(ada, subscribed)).toEqual(['TOPIC_FORBIDDEN']);
    expect(room.answersTo(ada, unsubscribed)).toEqual(['unsubscribed']);
    expect(room.left).toMatchObject({ memberships: 0, pending: 0 });
  });

  it('may follow an unsubscription at once, while the authorizer still thinks about the first', async () => {
    const gate = new Gate();
    const authorize = (): Promise<object> => gate.pass().then(() => GRANT);
    const { room, ada, settle } = await start({ authorize }, options);
    const ids = [
      room.subscribe(ada, 'tea'),
      room.unsubscribe(ada, 'tea'),
      room.subscribe(ada, 'tea'),
    ];
    await settle();
    while (gate.waiting > 0) gate.open();
    await settle();
    expect(ids.map((id) => room.answersTo(ada, id))).toEqual([
      ['TOPIC_FORBIDDEN'],
      ['unsubscribed'],
      ['subscribed'],
    ]);
    expect([...ada.topics]).toEqual(['tea']);
  });

  it('asks the authorizer no more often at a time than there is room, whatever the client takes back', async () => {
    let asked = 0;
    const authorize = (): Promise<never> => {
      asked += 1;
      return NEVER;
    };
    const { room, ada, settle } = await start({ authorize }, { ...options, maxPerConnection: 3 });
    for (let round = 0; round < 10; round += 1) {
      room.subscribe(ada, 'tea');
      room.unsubscribe(ada, 'tea');
    }
    await settle();
    expect(asked).toBe(3);
  });

  it('of one topic twice at once gets one reply each, and every event once', async () => {
    const gate = new Gate();
    const authorize = (): Promise<object> => gate.pass().then(() => GRANT);
    const known = new Gate();
    const { room, ada, settle } = await start({ authorize, known: known.pass }, options);
    const ids = [room.subscribe(ada, 'tea'), room.subscribe(ada, 'tea')];
    await settle();
    gate.open();
    await settle();
    // The first one waits for the cluster.
    ids.push(room.subscribe(ada, 'tea'));
    gate.open();
    await settle();
    while (known.waiting > 0) known.open();
    await settle();
    ids.push(room.subscribe(ada, 'tea'));
    gate.open();
    await settle();
    while (known.waiting > 0) known.open();
    await settle();
    expect(ids.map((id) => room.answersTo(ada, id))).toEqual([
      ['subscribed'],
      ['TOPIC_FORBIDDEN'],
      ['TOPIC_FORBIDDEN'],
      ['subscribed'],
    ]);
    room.emitter.toTopic('tea').send('said', 1);
    await settle();
    expect(said(room.framesOf(ada))).toEqual([1]);
    expect(room.topics.memberships).toBe(1);
  });

  it('is answered also when code of the server joins the topic at the same time', async () => {
    const known = new Gate();
    const { room, ada, settle } = await start({ known: known.pass }, options);
    const joined = ada.join('tea');
    const id = room.subscribe(ada, 'tea');
    await settle();
    known.open();
    await settle();
    known.open();
    await joined;
    await settle();
    expect(room.answersTo(ada, id)).toEqual(['subscribed']);
  });

  it('is refused with the limit when code of the server has taken the last place meanwhile', async () => {
    const gate = new Gate();
    const authorize = (): Promise<object> => gate.pass().then(() => GRANT);
    const { room, ada, settle } = await start({ authorize }, { ...options, maxPerConnection: 1 });
    const id = room.subscribe(ada, 'tea');
    await ada.join('cake');
    gate.open();
    await settle();
    expect(room.answersTo(ada, id)).toEqual(['TOPIC_LIMIT']);
    expect([...ada.topics]).toEqual(['cake']);
  });

  it('of a topic that the connection is in takes no second place', async () => {
    const gate = new Gate();
    const authorize = (): Promise<object> => gate.pass().then(() => GRANT);
    const { room, ada, settle } = await start({ authorize }, { ...options, maxPerConnection: 2 });
    await ada.join('tea');
    const ids = [room.subscribe(ada, 'tea'), room.subscribe(ada, 'cake')];
    await settle();
    while (gate.waiting > 0) gate.open();
    await settle();
    expect(ids.map((id) => room.answersTo(ada, id))).toEqual([['subscribed'], ['subscribed']]);
  });
});

describe.each([
  ['without a history', {}],
  ['with a history', { history: { windowMs: WINDOW_MS } }],
])('a renewal %s', (_title, options) => {
  it('counts, in whichever turn between the answer of the authorizer and the membership it lands', async () => {
    for (let turns = 0; turns < 30; turns += 1) {
      const gate = new Gate();
      const authorize: Decisions['authorize'] = async ({ metadata }) => {
        const isGranted = metadata['isGuest'] !== true;
        await gate.pass();
        return isGranted ? GRANT : undefined;
      };
      const { room, ada, settle } = await start({ authorize, canRenew: true }, options);
      const id = room.subscribe(ada, 'tea');
      await settle();
      gate.open();
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
      room.renew(ada, { isGuest: true });
      do {
        gate.open();
        await settle();
      } while (gate.waiting > 0);
      expect({ turns, topics: [...ada.topics] }).toEqual({ turns, topics: [] });
      expect(room.answersTo(ada, id)).toHaveLength(1);
      await ada.close();
      await nothingLeft(room);
    }
  });
});

/** An event has been sent to `tea`, and from now on `readable` decides when the history is read. */
async function away(readable: () => Promise<void>): ReturnType<typeof start> {
  let isAway = false;
  const started = await start(
    { readable: () => (isAway ? readable() : Promise.resolve()) },
    { history: { windowMs: 900_000 } },
  );
  const { room, settle } = started;
  const bob = await room.fleet.connect('bob');
  await bob.join('tea');
  await settle();
  room.emitter.toTopic('tea').send('said', 1);
  isAway = true;
  return started;
}

describe('a subscription whose history cannot be read', () => {
  it('is answered after the first failed read with the position that it named, and gets its events later', async () => {
    let isAway = true;
    const { room, ada, settle } = await away(() =>
      isAway ? Promise.reject(new Error('away')) : Promise.resolve(),
    );
    const bob = room.fleet.factory.managersOf('bob')[0]!;
    const said = room.framesOf(bob).at(-1)!.position!;
    const before = said.replace(/\d+$/, '0');
    const id = room.subscribe(ada, 'tea', before);
    await settle();
    expect(room.answersTo(ada, id)).toEqual(['subscribed']);
    expect(room.newFramesOf(ada)).toMatchObject([
      { event: 'subscribed', data: { position: before } },
    ]);
    expect(room.requests.pending).toBe(0);
    isAway = false;
    await room.fleet.clock.advance(10_000);
    expect(room.newFramesOf(ada)).toMatchObject([
      { event: 'resume', topic: 'tea', position: before, data: { status: 'recovered', missed: 1 } },
      { event: 'said', topic: 'tea', position: said },
    ]);
  });

  it('begins with a gap where it named no position, and so does what code of the server has joined', async () => {
    let isAway = true;
    const { room, ada, settle } = await away(() =>
      isAway ? Promise.reject(new Error('away')) : Promise.resolve(),
    );
    const eve = await room.fleet.connect('eve');
    await eve.join('tea');
    room.subscribe(ada, 'tea');
    await settle();
    const [reply] = room.newFramesOf(ada);
    expect(reply).toMatchObject({ event: 'subscribed', data: { position: '.0' } });
    isAway = false;
    await room.fleet.clock.advance(10_000);
    room.emitter.toTopic('tea').send('said', 2);
    await settle();
    for (const member of [ada, eve]) {
      expect(room.newFramesOf(member)).toMatchObject([
        { event: 'resume', data: { status: 'gap' }, topic: 'tea' },
        { event: 'said', data: 2 },
      ]);
    }
    await ada.close();
    // The position of the reply is none: a client that comes back with it gets a gap too.
    const back = await room.fleet.connect('ada');
    room.subscribe(back, 'tea', reply!.data!.position);
    await settle();
    expect(room.newFramesOf(back)[1]).toMatchObject({ event: 'resume', data: { status: 'gap' } });
  });

  it('is answered at the deadline where the read neither ends nor fails', async () => {
    const gate = new Gate();
    const { room, ada, settle } = await away(gate.pass);
    const id = room.subscribe(ada, 'tea');
    await room.fleet.clock.advance(9_999);
    expect(room.answersTo(ada, id)).toEqual([]);
    await room.fleet.clock.advance(1);
    await settle();
    expect(room.answersTo(ada, id)).toEqual(['subscribed']);
    expect(room.requests.pending).toBe(0);
    while (gate.waiting > 0) {
      gate.open();
      await settle();
    }
    expect(room.newFramesOf(ada).map(({ event }) => event)).toEqual(['subscribed', 'resume']);
  });

  it('is told nothing more when it is left before the history can be read', async () => {
    let isAway = true;
    const { room, ada, settle } = await away(() =>
      isAway ? Promise.reject(new Error('away')) : Promise.resolve(),
    );
    room.subscribe(ada, 'tea');
    await settle();
    room.unsubscribe(ada, 'tea');
    isAway = false;
    await room.fleet.clock.advance(10_000);
    expect(room.newFramesOf(ada).map(({ event }) => event)).toEqual(['subscribed', 'unsubscribed']);
  });

  it('is handed over once when the connection closes, also where its topic is joined already', async () => {
    const gate = new Gate();
    const { room, ada, settle } = await away(gate.pass);
    const handed: unknown[] = [];
    const hooks: Partial<ConnectionHooks> = {
      closing: () => void handed.push(...room.requests.closing(ada)),
      disconnected: () => undefined,
      released: () => undefined,
    };
    ada.useHooks(hooks as ConnectionHooks);
    const id = room.subscribe(ada, 'tea');
    await settle();
    expect(room.topics.memberships).toBe(2);
    await ada.close();
    gate.open();
    await settle();
    expect(handed).toMatchObject([{ id, topic: 'tea' }]);
    expect(room.answersTo(ada, id)).toEqual([]);
    expect(room.requests.pending).toBe(0);
  });
});

describe('a connection that a handler of another one lets join', () => {
  it('reads the history outside of the context of that handler', async () => {
    const contexts: unknown[] = [];
    const readable = (): Promise<void> => {
      contexts.push(UserExecutionContext.current());
      return Promise.resolve();
    };
    const { room, ada, settle } = await start({ readable }, { history: {} });
    const bob = new ConnectionCode(room.fleet.context('bob'));
    await runInContext(bob, () => ada.join('tea'), undefined);
    await settle();
    expect(contexts).toEqual([undefined, undefined]);
  });
});

describe('a member that leaves and joins in one turn', () => {
  it('gets each event once, however the reads of the history are ordered', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('send', 'rejoin', 'read', 'turn'), { maxLength: 40 }),
        async (moves) => {
          const gate = new Gate();
          const { room, ada, settle } = await start(
            { readable: gate.pass },
            { history: { windowMs: WINDOW_MS } },
          );
          let sent = 0;
          await ada.join('tea');
          for (const move of moves) {
            if (move === 'send') room.emitter.toTopic('tea').send('said', (sent += 1));
            if (move === 'read') gate.open();
            if (move === 'turn') await settle();
            if (move !== 'rejoin') continue;
            // What was sent before the member left may still be unread; the new membership begins at its end.
            do {
              gate.open();
              await settle();
            } while (gate.waiting > 0);
            ada.leave('tea');
            await ada.join('tea');
          }
          do {
            gate.open();
            await settle();
          } while (gate.waiting > 0);
          expect(said(room.framesOf(ada))).toEqual(Array.from({ length: sent }, (_, n) => n + 1));
          await ada.close();
          await nothingLeft(room);
        },
      ),
      { numRuns: 300, seed: SEED },
    );
  });
});

const TOPICS = ['tea', 'cake', 'wine'];
const MOVES = [
  'subscribe',
  'subscribe',
  'unsubscribe',
  'subscribe from nowhere',
  'join',
  'leave',
  'send',
  'go on',
  'go on',
  'turn',
  'turn',
] as const;
interface Move {
  readonly do: (typeof MOVES)[number];
  readonly topic: string;
}
const move: fc.Arbitrary<Move> = fc.record({
  do: fc.constantFrom(...MOVES),
  topic: fc.constantFrom(...TOPICS),
});

type Log = readonly { readonly at: number; readonly topic: string; readonly isIn: boolean }[];

/** Requests of a client and calls of the server, whose waits end in the order that the scheduler decides. */
class TopicRace {
  readonly room: TopicFleet;
  readonly requests: number[] = [];
  readonly log: { at: number; topic: string; isIn: boolean }[] = [];
  ada!: WebSocketManager;
  #answers = 0;

  constructor(
    private readonly scheduler: Scheduler,
    options: ConstructorParameters<typeof TopicFleet>[0],
    isCluster: boolean,
  ) {
    const wait = (label: string): Promise<void> =>
      scheduler.schedule(Promise.resolve(), label).then(() => undefined);
    this.room = new TopicFleet(options, {
      ...(isCluster && { known: () => wait('known') }),
      readable: () => wait('read'),
      authorize: async () => {
        await wait('authorizer');
        this.#answers += 1;
        return this.#answers % 4 === 0 ? undefined : GRANT;
      },
    });
  }

  async take({ do: name, topic }: Move): Promise<void> {
    const { room, ada, scheduler } = this;
    if (name === 'subscribe') this.requests.push(room.subscribe(ada, topic));
    if (name === 'subscribe from nowhere') this.requests.push(room.subscribe(ada, topic, 'x'));
    if (name === 'unsubscribe') this.requests.push(room.unsubscribe(ada, topic));
    if (name === 'send') room.emitter.toTopic(topic).send('said', topic);
    if (name === 'leave') ada.leave(topic);
    if (name === 'join') ada.join(topic).catch(() => undefined);
    if (name === 'leave' || name === 'join') {
      const at = room.fleet.socketOf(ada).sent.length;
      this.log.push({ at, topic, isIn: ada.topics.has(topic) });
    }
    if (name === 'turn') await room.fleet.clock.settle();
    if (name === 'go on' && scheduler.count() > 0) await scheduler.waitOne();
    expect(ada.topics.size).toBeLessThanOrEqual(LIMIT);
    expect(room.requests.pending).toBeLessThanOrEqual(this.requests.length);
  }

  async settle(): Promise<void> {
    do {
      await this.scheduler.waitAll();
      for (let turn = 0; turn < 3; turn += 1) await this.room.fleet.clock.settle();
    } while (this.scheduler.count() > 0);
  }

  async run(moves: readonly Move[], isClosedEarly: boolean): Promise<void> {
    const { room } = this;
    this.ada = await room.fleet.connect('ada');
    for (const next of moves) await this.take(next);
    if (isClosedEarly) await this.ada.close();
    await this.settle();
    expect(room.requests.pending).toBe(0);
    if (!isClosedEarly) await this.#checkOpen();
    await this.ada.close();
    await this.settle();
    await nothingLeft(room);
  }

  async #checkOpen(): Promise<void> {
    const { room, ada, requests, log } = this;
    for (const id of requests) expect(room.answersTo(ada, id)).toHaveLength(1);
    expect([...ada.topics].toSorted()).toEqual(membersAfter(room.framesOf(ada), log));
    for (const topic of TOPICS) expectInOrder(room.framesOf(ada), log, topic);
    room.newFramesOf(ada);
    for (const topic of TOPICS) room.emitter.toTopic(topic).send('said', 'last');
    await this.settle();
    const last = room.newFramesOf(ada).map(({ topic }) => topic ?? '');
    expect(last.toSorted()).toEqual([...ada.topics].toSorted());
  }
}

/** The topics that a connection is in, as its replies and the calls of the server have it. */
function membersAfter(frames: readonly TopicFrame[], log: Log): string[] {
  const members = new Set<string>();
  for (let at = 0; at <= frames.length; at += 1) {
    for (const { topic, isIn } of log.filter((entry) => entry.at === at)) {
      if (isIn) members.add(topic);
      else members.delete(topic);
    }
    const frame = frames[at];
    const topic = frame?.data?.topic ?? '';
    if (frame?.event === 'subscribed') members.add(topic);
    if (frame?.event === 'unsubscribed') members.delete(topic);
  }
  return [...members].toSorted();
}

/** Within one membership, events come once and in order, and only a gap may skip some. */
function expectInOrder(frames: readonly TopicFrame[], log: Log, topic: string): void {
  let last: number | undefined;
  for (const [at, frame] of frames.entries()) {
    if (log.some((entry) => entry.at === at && entry.topic === topic)) last = undefined;
    if (frame.data?.topic === topic) last = offsetOf(frame.data.position);
    if (frame.topic !== topic) continue;
    const offset = offsetOf(frame.position);
    if (frame.event === 'said') expect(offset).toBe(last === undefined ? offset : last + 1);
    last = offset;
  }
}

function offsetOf(position: string | undefined): number | undefined {
  return position === undefined ? undefined : Number(position.split('.')[1]);
}

describe.each([
  ['without a history', undefined],
  ['with a history', { windowMs: WINDOW_MS, maxEvents: 5 }],
])('requests and code of the server in any order, %s', (_title, history) => {
  it(`each get one reply, and the replies say who is in (${RUNS} runs, seed ${SEED})`, async () => {
    const options = { maxPerConnection: LIMIT, ...(history && { history }) };
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(move, { maxLength: 30 }),
        fc.boolean(),
        fc.boolean(),
        (scheduler, moves, isCluster, isClosedEarly) =>
          new TopicRace(scheduler, options, isCluster).run(moves, isClosedEarly),
      ),
      { numRuns: RUNS, seed: SEED },
    );
    expect.hasAssertions();
  });
});
