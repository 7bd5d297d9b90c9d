import { type BatchServices, inBatches } from './batches.js';
import { nameOneServer } from './connections.js';
import type { Extension, LeaseRegistry } from './lease-registry.js';
import type { LeaseTable, UserLeases } from './lease-table.js';
import { concernsOneKey } from './redis-failure.js';

/** Leases that one command extends: Redis does nothing else meanwhile, for about a millisecond. */
const MOST_LEASES = 200;
/** Commands at the same time. */
const BATCH = 8;

/** What an extension needs from its node. */
export interface ExtensionServices extends BatchServices {
  readonly table: LeaseTable;
  readonly registry: LeaseRegistry;
}

type Group = { readonly user: UserLeases; readonly held: readonly string[] }[];

/**
 * The part of a renewal that concerns nearly all users: nothing about their leases is uncertain, and Redis has them all.
 * One command extends the leases of many users, which takes a fraction of the time of a command for each. It takes nothing
 * anew, so it may also be sent by a process that has slept: what Redis still has is its own.
 */
export class LeaseExtension {
  constructor(private readonly host: ExtensionServices) {}

  /** Extends what can be extended. Resolves with the other users, and rejects when Redis fails. */
  async run(users: readonly UserLeases[]): Promise<UserLeases[]> {
    if (!nameOneServer(this.host.settings)) return [...users];
    const left = users.filter((user) => !user.isCertain);
    await inBatches(this.host, this.#groups(users), BATCH, async (group) => {
      left.push(...(await this.#extend(group)));
    });
    return left;
  }

  #groups(users: readonly UserLeases[]): Group[] {
    const groups: Group[] = [];
    let room = 0;
    for (const user of users) {
      if (!user.isCertain) continue;
      const held = user.renewable.map(({ member }) => member);
      if (held.length > room || groups.length === 0) {
        groups.push([]);
        room = MOST_LEASES;
      }
      groups.at(-1)!.push({ user, held });
      room -= held.length;
    }
    return groups;
  }

  async #extend(group: Group): Promise<UserLeases[]> {
    const { table, registry } = this.host;
    const extension: Extension = group.map(({ user: { keys }, held }) => ({ keys, held }));
    try {
      const places = await registry.extend(extension);
      return places.map((place) => group[place]!.user);
    } catch (error) {
      // One of them: each is then reported on its own.
      if (concernsOneKey(error)) return group.map(({ user }) => user);
      for (const { user } of group) {
        for (const lease of user.renewable) lease.state = 'unleased';
        table.mustTell(user);
      }
      throw error;
    }
  }
}
