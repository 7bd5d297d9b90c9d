import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from 'nestjs-websocket-isolation/testing';

import { type Deed, DEEDS, type User } from './matrix-users.js';
import { FAULTS, PATIENCE_MS, World } from './matrix-world.js';

const deeds = Object.keys(DEEDS) as Deed[];

/** Waits until each user has its connections, each connection has one slot, and there are no other slots. */
async function settle(world: World, users: readonly User[]): Promise<void> {
  await eventually(async () => {
    const found = await Promise.all(users.map(({ name }) => world.live(name)));
    expect(found).toEqual(users.map(({ lives }) => lives));
    const statuses = await Promise.all(world.living.map((node) => node.call('status')));
    const held = statuses.reduce((sum, { leases }) => sum + leases.held, 0);
    const total = users.reduce((sum, { lives }) => sum + lives, 0);
    expect([held, await world.redis.leases()]).toEqual([total, total]);
  }, PATIENCE_MS);
}

// Each fault runs once, with all users at the same time. Then each user is checked in its own test.
describe.each(FAULTS)('while $name, a user who', (fault) => {
  let world: World;
  const users = new Map<Deed, User>();
  beforeAll(async () => {
    world = await World.start(fault);
    for (const deed of deeds)
      users.set(deed, new DEEDS[deed](deed.replace(' ', '-'), world, fault));
    const all = [...users.values()];
    await Promise.all(all.map((user) => user.before()));
    await fault.begin(world);
    for (const user of all) await user.during();
    await fault.felt(world);
    for (const user of all) await user.felt();
    await fault.end(world);
    await world.become('up', world.living);
    await Promise.all(world.pending);
    await Promise.all(all.map((user) => user.afterwards()));
    await settle(world, all);
    world.isSettled = true;
  }, PATIENCE_MS * 3);
  afterAll(() => {
    for (const user of users.values()) user.stop();
    return world.stop();
  });

  it.each(deeds)('%s has the right connections, slots and data afterwards', async (deed) => {
    await expect(users.get(deed)!.check()).resolves.toBeUndefined();
  });
});
