import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { MemoryHistory } from '../../src/history/memory-history.js';
import { isOwnPosition, type Position } from '../../src/history/position.js';
import type { Stretch } from '../../src/history/event-history.js';
import type { ThreadKey } from '../../src/history/history-key.js';
import { FakeClock } from '../../src/testing/fake-clock.js';

const WINDOW_MS = 1_000;
const HEARD = { sent: 1, queued: 0, dropped: 0 };
const BOUNDS = {
  windowMs: WINDOW_MS,
  maxEvents: 8,
  maxBytes: 2_000,
  maxHistories: 3,
  maxTotalBytes: 4_000,
};

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      thread: fc.nat(5),
      size: fc.nat(900),
      isCritical: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('open' as const), thread: fc.nat(5) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('leave' as const), thread: fc.nat(5) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('return' as const),
      thread: fc.nat(5),
      client: fc.nat(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(700) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function keyOf(thread: number): ThreadKey {
  return { userId: `user-${thread % 2}`, threadId: `thread-${thread}` };
}

function readAll(history: MemoryHistory, key: ThreadKey, from: Position): Stretch {
  const first = history.read(key, from);
  const events = [...first.events];
  for (let { end, head, epoch } = first; end < head;) {
    const next = history.read(key, { epoch, offset: end });
    expect(next.isGap).toBe(false);
    events.push(...next.events);
    ({ end, head, epoch } = next);
  }
  return { ...first, events };
}

/** The model of a thread without bounds: its events, its open connections, and the positions of its clients. */
class ModelThread {
  readonly sent: string[] = [];
  readonly openers: (() => void)[] = [];
  readonly clients: { position: Position; had: number }[] = [];
}

/** Runs steps on a history and on its model, and compares them. */
class Play {
  readonly clock = new FakeClock();
  readonly history = new MemoryHistory(BOUNDS, this.clock);
  readonly heard: string[] = [];
  readonly threads = Array.from({ length: 6 }, () => new ModelThread());

  constructor() {
    this.history.useListener({
      recorded: ({ threadId }, epoch, { offset }) => {
        this.heard.push(`${threadId} ${epoch} ${offset}`);
        return HEARD;
      },
      doubtful: () => {
        throw new Error('a history in memory loses no events');
      },
    });
  }

  async run(current: Step, place: number): Promise<void> {
    if (current.kind === 'wait') await this.clock.advance(current.ms);
    else this.#act(current, place, keyOf(current.thread), this.threads[current.thread]!);
    expect(this.history.bytes).toBeLessThanOrEqual(BOUNDS.maxTotalBytes);
    const open = this.threads.filter(({ openers }) => openers.length > 0).length;
    expect(this.history.size).toBeLessThanOrEqual(open + BOUNDS.maxHistories);
  }

  /** Closes all connections, and advances the clock past the window. */
  async end(): Promise<void> {
    for (const { openers } of this.threads) openers.forEach((leave) => leave());
    await this.clock.advance(WINDOW_MS * 2);
  }

  #act(
    current: Exclude<Step, { kind: 'wait' }>,
    place: number,
    key: ThreadKey,
    model: ModelThread,
  ): void {
    if (current.kind === 'append') {
      const data = `${place}-${'y'.repeat(current.size)}`;
      this.#append(key, model, JSON.stringify({ event: 'x', data }), current.isCritical);
    } else if (current.kind === 'open') {
      model.openers.push(this.history.open(key));
      const { epoch, head } = this.history.read(key, undefined);
      model.clients.push({ position: { epoch, offset: head }, had: model.sent.length });
    } else if (current.kind === 'leave') {
      model.openers.shift()?.();
    } else if (model.clients.length > 0) {
      this.#comeBack(key, model, model.clients[current.client % model.clients.length]!);
    }
  }

  #append(key: ThreadKey, model: ModelThread, body: string, isCritical: boolean): void {
    const outcome = this.history.append(key, { body, isCritical });
    if (model.openers.length > 0 || isCritical) expect(outcome).toBe(HEARD);
    if (outcome === HEARD) model.sent.push(body);
  }

  #comeBack(key: ThreadKey, model: ModelThread, client: ModelThread['clients'][number]): void {
    const { epoch, head, isGap, events } = readAll(this.history, key, client.position);
    const bodies = events.map(({ body }) => body);
    const missed = model.sent.slice(client.had);
    // After a gap, the history returns the latest events.
    expect(bodies).toEqual(isGap ? model.sent.slice(model.sent.length - bodies.length) : missed);
    const first = head - bodies.length + 1;
    expect(events.map(({ offset }) => offset)).toEqual(bodies.map((_, index) => first + index));
    expect(isOwnPosition({ epoch, offset: 0 }, key.userId)).toBe(true);
    client.position = { epoch, offset: head };
    client.had = model.sent.length;
  }
}

describe('the history of threads in memory', () => {
  it('replays missed events completely and in order, or reports a gap, and keeps its bounds', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 120 }), async (steps) => {
        const play = new Play();
        for (const [place, current] of steps.entries()) await play.run(current, place);
        expect(new Set(play.heard).size).toBe(play.heard.length);
        await play.end();
        const { size, bytes } = play.history;
        expect({ size, bytes, timers: play.clock.pendingTimers }).toEqual({
          size: 0,
          bytes: 0,
          timers: 0,
        });
      }),
      { numRuns: 300 },
    );
  });

  it('fills every gap that its bounds allow', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ size: fc.nat(100), waitMs: fc.nat(100) }), { maxLength: 8 }),
        async (events) => {
          const clock = new FakeClock();
          const history = new MemoryHistory(BOUNDS, clock);
          const key = keyOf(0);
          const leave = history.open(key);
          const { epoch, head } = history.read(key, undefined);
          leave();
          const bodies = events.map(({ size }) =>
            JSON.stringify({ event: 'x', data: 'y'.repeat(size) }),
          );
          for (const [index, body] of bodies.entries()) {
            history.append(key, { body, isCritical: false });
            await clock.advance(events[index]!.waitMs);
          }
          const { isGap, events: read } = readAll(history, key, { epoch, offset: head });
          expect(isGap).toBe(false);
          expect(read.map(({ body }) => body)).toEqual(bodies);
          history.dispose();
        },
      ),
      { numRuns: 100 },
    );
  });
});
