import { describe, expect, it } from '@jest/globals';
import fc, { type Scheduler } from 'fast-check';

import type { WebSocketManager } from '../../src/manager/web-socket-manager.js';
import { Fleet } from '../support/fleet.js';

/** `RACE_RUNS=20000` for a long run. */
const RUNS = Number(process.env['RACE_RUNS'] ?? 1_000);
const LIMIT = 3;
const USERS = ['ada', 'bob'];

type Move =
  | 'connect'
  | 'close'
  | 'leave'
  | 'cut'
  | 'proactive'
  | 'emergency'
  | 'expired'
  | 'lower'
  | 'cleanupUser'
  | 'shutdown';

const move = fc.record({
  do: fc.constantFrom<Move>(
    'connect',
    'connect',
    'connect',
    'close',
    'leave',
    'cut',
    'proactive',
    'emergency',
    'expired',
    'lower',
    'cleanupUser',
  ),
  user: fc.nat(USERS.length - 1),
  which: fc.nat(5),
});

/** Everything that waits, waits for the scheduler: it decides which of the waiting goes on next. */
class Race {
  readonly fleet = new Fleet({ limits: { maxManagersPerUser: LIMIT } });
  readonly disposals = new Map<WebSocketManager, number>();
  readonly outcomes: PromiseSettledResult<unknown>[] = [];
  peak = 0;

  constructor(private readonly scheduler: Scheduler) {
    const add = this.fleet.registry.add.bind(this.fleet.registry);
    this.fleet.registry.add = (manager) => {
      add(manager);
      this.disposals.set(manager, 0);
      this.peak = Math.max(this.peak, this.fleet.registry.slotsOf(manager.context.userId)!.held);
    };
  }

  async run({ do: name, user, which }: { do: Move; user: number; which: number }): Promise<void> {
    await this.scheduler.schedule(Promise.resolve(), name);
    const [outcome] = await Promise.allSettled([this.#act(name, USERS[user]!, which)]);
    this.outcomes.push(outcome);
  }

  #pick(which: number): WebSocketManager | undefined {
    const all = [...this.fleet.registry.all()];
    return all[which % Math.max(1, all.length)];
  }

  async #act(name: Move, user: string, which: number): Promise<unknown> {
    const { fleet } = this;
    const manager = this.#pick(which);
    const socket = manager && fleet.sockets.get(manager);
    const acts: Record<Move, () => unknown> = {
      connect: () => this.#connect(user),
      close: () => manager?.close(4000),
      leave: () => socket?.leave(),
      cut: () => {
        socket?.emit('error', new Error('planned'));
        socket?.leave(1006);
      },
      proactive: () => fleet.cleanup.runProactive(),
      emergency: () => fleet.cleanup.runEmergency(),
      expired: () => fleet.factory.cleanupExpired(),
      lower: () => fleet.factory.setLimits({ maxManagersPerUser: 1 + (which % LIMIT) }),
      cleanupUser: () => fleet.factory.cleanupUser(user),
      shutdown: () => fleet.factory.shutdown(),
    };
    return acts[name]();
  }

  async #connect(user: string): Promise<void> {
    const manager = await this.fleet.connect(user);
    // Each disposer ends when the scheduler says so.
    manager.onDispose(async () => {
      await this.scheduler.schedule(Promise.resolve(), 'dispose');
      this.disposals.set(manager, this.disposals.get(manager)! + 1);
    });
  }

  async finish(): Promise<void> {
    await this.scheduler.waitAll();
    const ended = this.fleet.factory.shutdown();
    await this.scheduler.waitFor(ended);
    await this.scheduler.waitAll();
    await this.fleet.clock.settle();
  }
}

function expectNothingLeft({ fleet, disposals }: Race): void {
  const { ledger, suspects } = fleet.leaks.getReport();
  expect(ledger).toEqual({ created: disposals.size, active: 0, disposed: disposals.size });
  expect(suspects).toEqual([]);
  expect(fleet.registry.userCount).toBe(0);
  expect(
    [
      fleet.registry.idle,
      fleet.registry.unattached,
      fleet.registry.pinned,
      fleet.registry.closing,
    ].map(({ size }) => size),
  ).toEqual([0, 0, 0, 0]);
  expect(fleet.clock.pendingTimers).toBe(0);
  for (const [manager, socket] of fleet.sockets) {
    expect(manager.state).toBe('closed');
    expect(
      socket.listenerCount('close') +
        socket.listenerCount('message') +
        socket.listenerCount('pong'),
    ).toBe(0);
  }
}

describe('whatever overtakes whatever', () => {
  it(`no limit is exceeded, nothing is lost and nothing left, in ${RUNS} orders`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(move, { minLength: 2, maxLength: 14 }),
        fc.boolean(),
        fc.scheduler(),
        async (moves, endsEarly, scheduler) => {
          const race = new Race(scheduler);
          const running = moves.map((next) => race.run(next));
          // A shutdown in the middle of it, every other time.
          if (endsEarly) running.push(race.run({ do: 'shutdown', user: 0, which: 0 }));
          await race.finish();
          await Promise.all(running);
          expect(race.peak).toBeLessThanOrEqual(LIMIT);
          for (const outcome of race.outcomes) {
            if (outcome.status === 'fulfilled') continue;
            expect(['MANAGER_LIMIT', 'MANAGER_CLOSED']).toContain(
              (outcome.reason as { code: string }).code,
            );
          }
          expect([...race.disposals.values()].every((times) => times <= 1)).toBe(true);
          expectNothingLeft(race);
        },
      ),
      { numRuns: RUNS },
    );
  }, 300_000);
});
