import { describe, expect, it } from '@jest/globals';
import fc, { type Scheduler } from 'fast-check';

import type { LimitsOptions } from '../../src/config/option-groups.js';
import type { WebSocketManager } from '../../src/manager/web-socket-manager.js';
import { FakeSocket, Fleet } from '../support/fleet.js';
import { SEED } from '../support/seed.js';

/** The number of runs. `RACE_RUNS=20000` for a long run. */
const RUNS = Number(process.env['RACE_RUNS'] ?? 1_000);
const LIMIT = 3;
const USERS = ['ada', 'bob'];
/** The allowed error codes of a refused connect. Any other error is a fault. */
const REFUSALS = ['MANAGER_LIMIT', 'MANAGER_CLOSED'];

const MOVES = [
  'connect',
  'connect',
  'connect',
  'connect silently',
  'close',
  'leave',
  'cut',
  'pin and unpin',
  'tick',
  'proactive',
  'emergency',
  'expired',
  'lower',
  'raise',
  'cleanupUser',
] as const;
type Name = (typeof MOVES)[number] | 'shutdown';

interface Move {
  readonly do: Name;
  readonly user: number;
  readonly which: number;
}

const move: fc.Arbitrary<Move> = fc.record({
  do: fc.constantFrom(...MOVES),
  user: fc.nat(USERS.length - 1),
  which: fc.nat(5),
});

/**
 * A race in which moves, pongs, close frames, ends of sockets, work and disposers wait for the scheduler. The scheduler
 * decides which of them continues next.
 */
class Race {
  readonly fleet: Fleet;
  readonly disposals = new Map<WebSocketManager, number>();
  readonly outcomes: PromiseSettledResult<unknown>[] = [];
  peak = 0;

  constructor(
    private readonly scheduler: Scheduler,
    overflow: LimitsOptions['overflow'],
  ) {
    this.fleet = new Fleet({ limits: { maxManagersPerUser: LIMIT, overflow } });
    const add = this.fleet.registry.add.bind(this.fleet.registry);
    this.fleet.registry.add = (manager) => {
      add(manager);
      this.disposals.set(manager, 0);
      this.peak = Math.max(this.peak, this.fleet.registry.slotsOf(manager.context.userId)!.held);
    };
  }

  async run({ do: name, user, which }: Move): Promise<void> {
    await this.#turn(name);
    const [outcome] = await Promise.allSettled([this.#act(name, USERS[user]!, which)]);
    this.outcomes.push(outcome);
  }

  #turn(label: string): Promise<void> {
    return this.scheduler.schedule(Promise.resolve(), label);
  }

  #pick(which: number): WebSocketManager | undefined {
    const all = [...this.fleet.registry.all()];
    return all[which % Math.max(1, all.length)];
  }

  async #act(name: Name, user: string, which: number): Promise<unknown> {
    const { fleet } = this;
    const manager = this.#pick(which);
    const socket = manager && fleet.sockets.get(manager);
    const acts: Record<Name, () => unknown> = {
      connect: () => this.#connect(user, false),
      'connect silently': () => this.#connect(user, true),
      close: () => manager?.close(4000),
      leave: () => socket?.leave(),
      cut: () => {
        socket?.emit('error', new Error('planned'));
        socket?.leave(1006);
      },
      'pin and unpin': () => manager?.run('work', () => this.#turn('work')),
      tick: () => fleet.clock.advance(which * 500),
      proactive: () => fleet.cleanup.runProactive(),
      emergency: () => fleet.cleanup.runEmergency(),
      expired: () => fleet.factory.cleanupExpired(),
      lower: () => fleet.factory.setLimits({ maxManagersPerUser: 1 + (which % LIMIT) }),
      raise: () => fleet.factory.setLimits({ maxManagersPerUser: LIMIT }),
      cleanupUser: () => fleet.factory.cleanupUser(user),
      shutdown: () => fleet.factory.shutdown(),
    };
    return acts[name]();
  }

  async #connect(user: string, isSilent: boolean): Promise<void> {
    const socket = new FakeSocket((arrive) => void this.#turn('arrives').then(arrive));
    const manager = await this.fleet.connect(user, { isSilent, socket });
    // Each disposer ends when the scheduler lets it continue.
    manager.onDispose(async () => {
      await this.#turn('dispose');
      this.disposals.set(manager, this.disposals.get(manager)! + 1);
    });
  }

  /** Runs the scheduler and the clock until the work has settled. */
  async finish(work: Promise<unknown>): Promise<void> {
    const over = new AbortController();
    void work.finally(() => over.abort());
    while (!over.signal.aborted) {
      await this.scheduler.waitAll();
      await this.fleet.clock.advance(1_000);
    }
    await this.scheduler.waitAll();
    await this.fleet.clock.settle();
    await work;
  }
}

function expectNothingLeft({ fleet, disposals }: Race): void {
  const { ledger, suspects } = fleet.leaks.getReport();
  expect(ledger).toEqual({ created: disposals.size, active: 0, disposed: disposals.size });
  expect(suspects).toEqual([]);
  const { idle, unattached, pinned, closing, userCount, pings } = fleet.registry;
  expect([idle, unattached, pinned, closing].map(({ size }) => size)).toEqual([0, 0, 0, 0]);
  expect(pings.awaitingCount).toBe(0);
  expect(userCount).toBe(0);
  expect(fleet.clock.pendingTimers).toBe(0);
  for (const [manager, socket] of fleet.sockets) {
    expect(manager.state).toBe('closed');
    const listeners = ['close', 'message', 'pong'].map((event) => socket.listenerCount(event));
    expect(listeners).toEqual([0, 0, 0]);
  }
}

describe('in any order of events', () => {
  it(`no limit is exceeded, nothing is lost and nothing is left behind, in ${RUNS} orders (seed ${SEED})`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(move, { minLength: 2, maxLength: 14 }),
        fc.constantFrom('reject', 'evict-idle'),
        fc.boolean(),
        fc.scheduler(),
        async (moves, overflow, endsEarly, scheduler) => {
          const race = new Race(scheduler, overflow);
          const running = moves.map((next) => race.run(next));
          // Half of the runs have a shutdown in the middle.
          if (endsEarly) running.push(race.run({ do: 'shutdown', user: 0, which: 0 }));
          await race.finish(Promise.all(running));
          // A user without connections can always connect.
          await race.finish(race.fleet.factory.cleanupUser('ada'));
          await race.finish(race.run({ do: 'connect', user: 0, which: 0 }));
          expect(race.outcomes.at(-1)!.status).toBe(endsEarly ? 'rejected' : 'fulfilled');
          // After a shutdown no connection is accepted, and no second shutdown is needed.
          if (!endsEarly) await race.finish(race.fleet.factory.shutdown());
          expect(race.peak).toBeLessThanOrEqual(LIMIT);
          for (const outcome of race.outcomes) {
            if (outcome.status === 'fulfilled') continue;
            expect(REFUSALS).toContain((outcome.reason as { code: string }).code);
          }
          expect([...race.disposals.values()].every((times) => times <= 1)).toBe(true);
          expectNothingLeft(race);
        },
      ),
      { numRuns: RUNS, seed: SEED },
    );
  });
});
