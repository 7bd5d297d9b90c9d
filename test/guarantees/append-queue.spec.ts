import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { type Appendable, AppendQueue } from '../../src/redis/append-queue.js';
import { FakeClock } from '../../src/testing/fake-clock.js';

class OwnFailure extends Error {}

/** Redis, as far as the queue knows it: what it has of each thread, and how it fails. */
class Server {
  readonly #last = new Map<string, number>();
  readonly kept = new Map<string, string[]>();
  /** What becomes of the next commands: carried out or not, answered or not. */
  readonly script: ('ok' | 'lost-command' | 'lost-answer')[] = [];
  isAway = false;

  constructor(private readonly clock: FakeClock) {}

  async append(
    thread: string,
    value: string,
    number: number,
    previous: number,
  ): Promise<'done' | 'early'> {
    const fate = this.isAway ? 'lost-command' : (this.script.shift() ?? 'ok');
    if (fate === 'lost-command') {
      await this.#moment();
      throw new Error('the connection is gone');
    }
    const answer = this.#keep(thread, value, number, previous);
    await this.#moment();
    if (fate === 'lost-answer') throw new Error('the connection is gone');
    return answer;
  }

  #keep(thread: string, value: string, number: number, previous: number): 'done' | 'early' {
    const last = this.#last.get(thread) ?? 0;
    if (last >= number) return 'done';
    if (last < previous) return 'early';
    this.#last.set(thread, number);
    this.kept.set(thread, [...(this.kept.get(thread) ?? []), value]);
    return 'done';
  }

  #moment(): Promise<void> {
    return new Promise((resolve) => {
      this.clock.after(1, resolve);
    });
  }
}

function itemOf(
  server: Server,
  thread: string,
  value: string,
  given: string[],
  replacement?: Appendable,
): Appendable {
  return {
    thread,
    bytes: 100,
    send: (number, previous) => server.append(thread, value, number, previous),
    giveUp: () => {
      given.push(value);
      return replacement;
    },
  };
}

function queueOn(clock: FakeClock): AppendQueue {
  return new AppendQueue(
    clock,
    (error) => error instanceof OwnFailure,
    () => undefined,
  );
}

describe('the queue of appends', () => {
  it('gets everything there once and in its order, whatever is lost on the way', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ thread: fc.nat(3), waitMs: fc.nat(3) }), {
          minLength: 1,
          maxLength: 60,
        }),
        fc.array(fc.constantFrom('ok' as const, 'lost-command' as const, 'lost-answer' as const), {
          maxLength: 120,
        }),
        async (sends, script) => {
          const clock = new FakeClock();
          const server = new Server(clock);
          server.script.push(...script);
          const queue = queueOn(clock);
          const given: string[] = [];
          const expected = new Map<string, string[]>();
          for (const [index, { thread, waitMs }] of sends.entries()) {
            const [name, value] = [`thread-${thread}`, String(index)];
            queue.add(itemOf(server, name, value, given));
            expected.set(name, [...(expected.get(name) ?? []), value]);
            if (waitMs > 0) await clock.advance(waitMs);
          }
          // Every failure costs a pause of at most 1.25 seconds, and none fails for longer than the script.
          for (let round = 0; queue.size > 0 && round < 200; round += 1) {
            await clock.advance(100);
            queue.hurry();
          }
          expect(given).toEqual([]);
          expect(server.kept).toEqual(expected);
          expect(clock.pendingTimers).toBe(0);
          queue.close();
        },
      ),
      { numRuns: 200 },
    );
  });

  it('gives up what was tried for fifteen seconds, and sends what stands in for it once', async () => {
    const clock = new FakeClock();
    const server = new Server(clock);
    const queue = queueOn(clock);
    const given: string[] = [];
    const reset: Appendable = {
      thread: 'tea',
      bytes: 0,
      send: (number, previous) => server.append('tea', 'reset', number, previous),
      giveUp: () => undefined,
    };
    server.isAway = true;
    for (const value of ['1', '2', '3']) queue.add(itemOf(server, 'tea', value, given, reset));
    await clock.advance(14_000);
    expect(given).toEqual([]);
    await clock.advance(3_000);
    expect(given).toEqual(['1', '2', '3']);
    expect(queue.size).toBe(1);
    server.isAway = false;
    queue.add(itemOf(server, 'tea', '4', given, reset));
    await clock.advance(3_000);
    expect(server.kept.get('tea')).toEqual(['reset', '4']);
    expect(queue.size).toBe(0);
    queue.close();
  });

  it('does not let one that nobody takes hold up the others', async () => {
    const clock = new FakeClock();
    const server = new Server(clock);
    const queue = queueOn(clock);
    const given: string[] = [];
    const bad = itemOf(server, 'tea', 'bad', given);
    queue.add({ ...bad, send: () => Promise.reject(new OwnFailure('WRONGTYPE')) });
    queue.add(itemOf(server, 'coffee', 'good', given));
    await clock.advance(100);
    expect({ given, kept: server.kept.get('coffee') }).toEqual({ given: ['bad'], kept: ['good'] });
    queue.close();
  });

  it('takes no more than its bound, and says what it does not take', async () => {
    const clock = new FakeClock();
    const server = new Server(clock);
    const queue = queueOn(clock);
    const given: string[] = [];
    server.isAway = true;
    const big = (value: string): Appendable => ({
      ...itemOf(server, 'tea', value, given),
      bytes: 1_048_576,
    });
    for (let index = 0; index < 20; index += 1) queue.add(big(String(index)));
    expect({ size: queue.size, given }).toEqual({ size: 16, given: ['16', '17', '18', '19'] });
    queue.close();
    await clock.advance(10_000);
    expect(clock.pendingTimers).toBe(0);
  });
});
