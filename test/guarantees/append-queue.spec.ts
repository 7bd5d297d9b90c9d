import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { type Appendable, AppendQueue } from '../../src/redis/append-queue.js';
import { FakeClock } from '../../src/testing/fake-clock.js';

class OwnFailure extends Error {}

/** A fake Redis for the queue: it stores the events of each history, and fails according to a script. */
class Server {
  readonly #last = new Map<string, number>();
  readonly kept = new Map<string, string[]>();
  /** The outcomes of the next commands: executed or lost, and with or without a reply. */
  readonly script: ('ok' | 'lost-command' | 'lost-answer')[] = [];
  isAway = false;

  constructor(private readonly clock: FakeClock) {}

  async append(
    history: string,
    value: string,
    number: number,
    previous: number,
  ): Promise<'done' | 'early'> {
    const fate = this.isAway ? 'lost-command' : (this.script.shift() ?? 'ok');
    if (fate === 'lost-command') {
      await this.#moment();
      throw new Error('the connection is gone');
    }
    const answer = this.#keep(history, value, number, previous);
    await this.#moment();
    if (fate === 'lost-answer') throw new Error('the connection is gone');
    return answer;
  }

  #keep(history: string, value: string, number: number, previous: number): 'done' | 'early' {
    const last = this.#last.get(history) ?? 0;
    if (last >= number) return 'done';
    if (last < previous) return 'early';
    this.#last.set(history, number);
    this.kept.set(history, [...(this.kept.get(history) ?? []), value]);
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
  history: string,
  value: string,
  given: string[],
  replacement?: Appendable,
): Appendable {
  return {
    history,
    bytes: 100,
    send: (number, previous) => server.append(history, value, number, previous),
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
  it('delivers every item once and in order, even if commands and replies are lost', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ history: fc.nat(3), waitMs: fc.nat(3) }), {
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
          for (const [index, { history, waitMs }] of sends.entries()) {
            const [name, value] = [`history-${history}`, String(index)];
            queue.add(itemOf(server, name, value, given));
            expected.set(name, [...(expected.get(name) ?? []), value]);
            if (waitMs > 0) await clock.advance(waitMs);
          }
          // Each failure causes a pause of at most 1.25 seconds, and failures end with the script.
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

  it('gives up an item after fifteen seconds of retries, and sends its replacement once', async () => {
    const clock = new FakeClock();
    const server = new Server(clock);
    const queue = queueOn(clock);
    const given: string[] = [];
    const reset: Appendable = {
      history: 'tea',
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

  it('is not blocked by an item that always fails', async () => {
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

  it('accepts items up to its bound, and gives up the excess', async () => {
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
