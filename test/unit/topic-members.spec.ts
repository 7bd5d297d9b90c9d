import { describe, expect, it } from '@jest/globals';
import { FakeClock } from 'nestjs-websocket-isolation/testing';

import { RedisTopics, type TopicServices } from '../../src/redis/redis-topics.js';
import { TopicMembers } from '../../src/redis/topic-members.js';

const NAMES = ['ada', 'bob', 'eve'];

/** A Redis that has the members of one topic, and the members on this node. */
class World {
  readonly here = new Set<string>();
  readonly inRedis = new Set<string>();
  readonly commands: string[] = [];
  readonly ended: TopicMembers[] = [];
  /** Called while a command is under way. */
  meanwhile: () => void = () => undefined;
  readonly members: TopicMembers = new TopicMembers('tea', {
    sync: async (_topic, changed) => {
      const [expected, now] = [this.here.size, new Set(this.here)];
      this.commands.push(changed === 'all' ? 'all' : [...changed].join());
      await Promise.resolve();
      this.meanwhile();
      if (changed === 'all') this.inRedis.clear();
      for (const name of changed === 'all' ? now : changed) {
        if (now.has(name)) this.inRedis.add(name);
        else this.inRedis.delete(name);
      }
      return this.inRedis.size === expected;
    },
    failed: () => undefined,
    done: (_topic, members) => void this.ended.push(members),
    userCount: () => this.here.size,
  });

  join(name: string): Promise<void> {
    this.here.add(name);
    return this.members.changed(name);
  }

  leave(name: string): Promise<void> {
    this.here.delete(name);
    return this.members.changed(name);
  }
}

describe('the members of a topic in Redis', () => {
  it('are told again in full when Redis has lost them, also while members keep changing', async () => {
    const world = new World();
    await Promise.all(NAMES.map((name) => world.join(name)));
    let changes = 0;
    world.meanwhile = () => {
      changes += 1;
      void (changes % 2 ? world.join('kim') : world.leave('kim'));
      if (changes > 20) world.meanwhile = () => undefined;
    };
    world.inRedis.clear();
    await world.members.renew();
    expect(world.commands).toContain('all');
    expect(NAMES.filter((name) => world.inRedis.has(name))).toEqual(NAMES);
  });

  it('are told in full only when Redis has lost them', async () => {
    const world = new World();
    world.meanwhile = () => {
      world.meanwhile = () => undefined;
      void world.join('bob');
    };
    await world.join('ada');
    await world.members.settled();
    expect(world.commands).toEqual(['ada', 'bob']);
  });

  it('end once, when no command is left to send', async () => {
    const world = new World();
    await world.join('ada');
    const changes: Promise<void>[] = [];
    world.meanwhile = () => {
      world.meanwhile = () => undefined;
      changes.push(world.join('bob'), world.leave('bob'));
    };
    await world.leave('ada');
    await Promise.all(changes);
    expect(world.ended).toEqual([world.members]);
  });

  it('end on a process that is slower than its renewals', async () => {
    const world = new World();
    let due = 20;
    world.meanwhile = () => {
      due -= 1;
      if (due > 0) void world.members.renew();
    };
    await world.join('ada');
    await world.leave('ada');
    expect(world.ended).toEqual([world.members]);
    expect(world.commands).toEqual(['ada', 'ada']);
  });
});

describe('the topics of a node that leaves the cluster', () => {
  it.each([true, false])(
    'leave no timer behind, whether Redis is up (%s) or away',
    async (isUp) => {
      const clock = new FakeClock();
      const client = { evalSha: () => Promise.reject(new Error('away')) };
      const services = {
        clock,
        connections: { get: () => client },
        keys: { hashOf: () => 'hash', ofTopic: () => 'key', channelOf: () => 'channel' },
        bus: { use: () => undefined },
        nodeId: 'node',
        settings: { leaseMs: 1_500, renewMs: 400, commandTimeoutMs: 1_000 },
        stumbled: () => undefined,
      } as unknown as TopicServices;
      const topics = new RedisTopics(services);
      await topics.changed('tea', 'ada');
      expect(clock.pendingTimers).toBe(1);
      await topics.leave(isUp);
      // A connection that ends late.
      await topics.changed('tea', 'ada');
      expect(clock.pendingTimers).toBe(0);
    },
  );
});
