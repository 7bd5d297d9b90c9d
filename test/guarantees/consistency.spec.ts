import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { encodeKeyPart, parseIsolationKey } from '../../src/context/isolation-key.js';
import type { UserExecutionContext } from '../../src/context/user-execution-context.js';
import { ThreadConsistencyTracker } from '../../src/monitoring/thread-consistency.tracker.js';
import { Fleet } from '../support/fleet.js';
import { SEED } from '../support/seed.js';

const trackerOf = (fleet: Fleet): ThreadConsistencyTracker =>
  new ThreadConsistencyTracker(fleet.journal, fleet.clock);

// The five cases of the original system that this library re-implements, each a list of snapshots.
async function lifecycle(
  fleet: Fleet,
  tracker: ThreadConsistencyTracker,
  context: UserExecutionContext,
): Promise<void> {
  tracker.record({ context: context.threadId });
  const manager = await fleet.factory.createManager(context);
  tracker.record({ context: context.threadId, manager: manager.context.threadId });
  tracker.record({ key: context.isolationKey, manager: manager.context.threadId });
  tracker.record({ message: context.threadId, manager: manager.context.threadId });
  tracker.record({ context: context.threadId, key: manager.context.isolationKey });
  await fleet.factory.cleanupManager(context.connectionId);
  tracker.record({ cleanup: context.threadId, manager: manager.context.threadId });
}

describe('an isolation key', () => {
  it(`belongs to one pair of user and thread, and is parsed back to it (seed ${SEED})`, () => {
    const id = fc
      .string({ unit: fc.constantFrom(':', '%', '2', '3', '5', 'A', 'a', 'é'), minLength: 2 })
      .filter((text) => text.length <= 64);
    fc.assert(
      fc.property(id, id, id, id, (user, thread, otherUser, otherThread) => {
        const key = `${encodeKeyPart(user)}:${encodeKeyPart(thread)}`;
        const other = `${encodeKeyPart(otherUser)}:${encodeKeyPart(otherThread)}`;
        expect(key === other).toBe(user === otherUser && thread === otherThread);
        expect(parseIsolationKey(key)).toEqual({ userId: user, threadId: thread });
      }),
      { numRuns: 2_000, seed: SEED },
    );
  });
});

describe('the thread consistency score', () => {
  it('is 100 for contexts alone, and before the first snapshot', () => {
    const fleet = new Fleet();
    const tracker = trackerOf(fleet);
    expect(tracker.score()).toBe(100);
    for (let index = 0; index < 6; index += 1) {
      expect(tracker.record({ context: fleet.context('ada').threadId })).toBe(true);
    }
    expect(tracker.score()).toBe(100);
  });

  it('is 100 for the creation and the life of a manager, with correctly parsed keys', async () => {
    for (const threadId of ['tea', 'thread_01', 'with:colon', '50%']) {
      const fleet = new Fleet();
      const tracker = trackerOf(fleet);
      await lifecycle(fleet, tracker, fleet.context('user_1', threadId));
      expect(tracker.getReport()).toMatchObject({ snapshots: 6, inconsistent: 0, score: 100 });
    }
  });

  it('is 100 for three users at once', async () => {
    const fleet = new Fleet();
    const tracker = trackerOf(fleet);
    const users = ['ada', 'bob', 'carol'];
    await Promise.all(
      users.map((user) => lifecycle(fleet, tracker, fleet.context(user, `of-${user}`))),
    );
    expect(tracker.getReport()).toMatchObject({ snapshots: 18, inconsistent: 0, score: 100 });
  });

  it('is 80 with one mismatch in five, which the report names', async () => {
    const fleet = new Fleet();
    const tracker = trackerOf(fleet);
    const context = fleet.context('ada', 'tea');
    const manager = await fleet.factory.createManager(context);
    tracker.record({ context: 'tea' });
    tracker.record({ context: 'tea', manager: manager.context.threadId });
    tracker.record({ key: context.isolationKey, manager: manager.context.threadId });
    expect(tracker.record({ context: 'coffee', manager: manager.context.threadId })).toBe(false);
    tracker.record({ cleanup: 'tea', manager: manager.context.threadId });
    const { violations, ...numbers } = tracker.getReport();
    expect(numbers).toEqual({ snapshots: 5, inconsistent: 1, score: 80 });
    expect(violations).toEqual([
      { at: new Date(fleet.clock.epoch()), threadIds: { context: 'coffee', manager: 'tea' } },
    ]);
  });

  it('ignores absent ids, and counts differing ids as a violation in every pair', () => {
    const tracker = trackerOf(new Fleet());
    expect(tracker.record({})).toBe(true);
    expect(tracker.record({ context: null, manager: 'a' })).toBe(true);
    expect(tracker.record({ key: `u:${encodeKeyPart('a:b')}`, cleanup: 'a:b' })).toBe(true);
    expect(tracker.record({ key: 'u:a', cleanup: 'b' })).toBe(false);
    expect(tracker.record({ message: 'a', cleanup: 'b' })).toBe(false);
  });

  it('keeps a bounded list of violations', () => {
    const tracker = trackerOf(new Fleet());
    for (let index = 0; index < 1000; index += 1)
      tracker.record({ context: 'a', message: `b${index}` });
    const { violations, inconsistent } = tracker.getReport();
    expect(inconsistent).toBe(1000);
    expect(violations.length).toBe(100);
    expect(violations.at(-1)!.threadIds.message).toBe('b999');
  });
});
