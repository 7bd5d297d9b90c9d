import { setImmediate as turn } from 'node:timers/promises';

import { describe, expect, it } from '@jest/globals';

import type { RedisConnections } from '../../src/redis/connections.js';
import { Keys } from '../../src/redis/keys.js';
import type { NodeBus } from '../../src/redis/node-bus.js';
import { RedisDelivery } from '../../src/redis/redis-delivery.js';
import { BacklogError } from '../../src/redis/redis-failure.js';

const ADA = { userId: 'ada' };
const TEN_MIB = 'x'.repeat(10 * 1_048_576);

/** A node whose Redis replies, or fails, when the test says so. */
class World {
  readonly failures: unknown[] = [];
  readonly commands: { readonly reply: () => void; readonly fail: (error: Error) => void }[] = [];
  hasLeft = false;
  readonly delivery: RedisDelivery;

  constructor() {
    const client = {
      evalSha: () =>
        new Promise((resolve, reject) => {
          this.commands.push({ reply: () => resolve([]), fail: reject });
        }),
    };
    const get = (): object => {
      if (this.hasLeft) throw new Error('this process has left the cluster');
      return client;
    };
    this.delivery = new RedisDelivery(
      { get, seesAllReceivers: true } as unknown as RedisConnections,
      new Keys('wsi', '', 0),
      { envelope: (_topic: unknown, { frame }: { frame: string }) => frame } as unknown as NodeBus,
      'node',
      { useLocalDelivery: () => undefined, revoke: () => Promise.reject(new Error('unused')) },
      () => [],
      (error) => this.failures.push(error),
    );
  }
}

describe('messages to other nodes', () => {
  it('are refused beyond 16 MiB that wait for Redis, and taken again once it has replied or failed', async () => {
    const { delivery, commands, failures } = new World();
    delivery.send(ADA, TEN_MIB);
    delivery.send(ADA, TEN_MIB);
    expect(commands).toHaveLength(1);
    await turn();
    expect(failures).toEqual([new BacklogError(16 * 1_048_576)]);
    await expect(delivery.broadcast(ADA, TEN_MIB)).rejects.toThrow(BacklogError);

    commands[0]!.reply();
    await turn();
    delivery.send(ADA, TEN_MIB);
    expect(commands).toHaveLength(2);

    commands[1]!.fail(new Error('away'));
    await turn();
    expect(failures.slice(1)).toEqual([new Error('away')]);
    const published = delivery.broadcast(ADA, TEN_MIB);
    expect(commands).toHaveLength(3);
    commands[2]!.reply();
    await expect(published).resolves.toEqual({ heard: [], unheard: [] });
  });

  it('never throw, and tell of a failure only after the sender goes on', async () => {
    const world = new World();
    world.hasLeft = true;
    world.delivery.send(ADA, '{}');
    expect(world.failures).toEqual([]);
    await turn();
    expect(world.failures).toEqual([new Error('this process has left the cluster')]);
    await expect(world.delivery.broadcast(ADA, '{}')).rejects.toThrow('has left');
  });
});
