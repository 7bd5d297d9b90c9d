import type { ClusterSlots } from '../cluster/cluster-slots.js';
import type { Limits } from '../manager/limits.js';
import type { ManagerRegistry } from '../manager/manager-registry.js';
import type { UserSlots } from '../manager/user-slots.js';

/** Users listed by name. */
const LISTED = 12;
/** Columns of the distribution. With a higher limit per user, a column covers several counts. */
const MAX_COLUMNS = 20;

/** A user, with the slots held on this process and, in a cluster that responds, on all nodes. */
export interface RankedUser {
  readonly userId: string;
  readonly held: number;
  readonly everywhere?: number;
}

/** How the managers are spread over the users. */
export interface UserRanking {
  /** The users with the most managers, in descending order. */
  readonly top: readonly RankedUser[];
  /** How many users hold `limits.crowdedFrom` managers or more. */
  readonly crowded: number;
  /** How many users have no slot left. */
  readonly full: number;
  /** How many users hold 1, 2, 3 … managers. A column covers `step` counts. */
  readonly distribution: { readonly step: number; readonly users: readonly number[] };
}

/** Adds what the users with the most managers here hold on all nodes, and counts those whose slots are all in use. */
export async function withCluster(
  ranking: UserRanking,
  { maxManagersPerUser }: Limits,
  slots: ClusterSlots | undefined,
): Promise<UserRanking> {
  if (!slots?.heldBy) return ranking;
  const counted = ranking.top.map(async (user): Promise<RankedUser> => {
    const everywhere = await slots.heldBy!(user.userId);
    // What was opened or closed here meanwhile is not in both numbers.
    return everywhere === undefined
      ? user
      : { ...user, everywhere: Math.max(everywhere, user.held) };
  });
  const top = (await Promise.all(counted)).toSorted((one, other) => all(other) - all(one));
  const full = top.filter((user) => all(user) >= maxManagersPerUser).length;
  return { ...ranking, top, full: Math.max(full, ranking.full) };
}

const all = ({ everywhere, held }: RankedUser): number => everywhere ?? held;

/** Ranks the users in one walk over all of them. */
export function rankUsers(registry: ManagerRegistry, limits: Limits): UserRanking {
  const { maxManagersPerUser, crowdedFrom } = limits;
  const step = Math.ceil(maxManagersPerUser / MAX_COLUMNS);
  const users = Array.from({ length: Math.ceil(maxManagersPerUser / step) }, () => 0);
  const top: UserSlots[] = [];
  let crowded = 0;
  let full = 0;
  for (const slots of registry.users()) {
    const { held } = slots;
    if (held === 0) continue;
    const column = Math.min(users.length - 1, Math.floor((held - 1) / step));
    users[column]! += 1;
    if (held >= crowdedFrom) crowded += 1;
    if (held >= maxManagersPerUser) full += 1;
    insert(top, slots, held);
  }
  return {
    top: top.map(({ userId, held }) => ({ userId, held })),
    crowded,
    full,
    distribution: { step, users },
  };
}

function insert(top: UserSlots[], slots: UserSlots, held: number): void {
  if (top.length === LISTED && top.at(-1)!.held >= held) return;
  const place = top.findIndex((other) => other.held < held);
  top.splice(place === -1 ? top.length : place, 0, slots);
  if (top.length > LISTED) top.pop();
}
