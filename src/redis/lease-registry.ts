import type { Connection } from './connections.js';
import type { UserKeys } from './keys.js';
import { Script } from './script.js';

// All of them take the time from Redis: a node whose clock is wrong harms nobody. Deadlines are in milliseconds.
const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/**
 * KEYS leases, evicted; ARGV member, limit, lease, then members that may make room, the first first.
 * Answers what became of it (0 full, 1 taken, 2 held already), then who had to go, or who is there.
 */
const ACQUIRE = new Script(`${NOW}
local member, limit, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local answer = { 1 }
if redis.call('ZSCORE', KEYS[1], member) then
  answer[1] = 2
else
  local excess = redis.call('ZCARD', KEYS[1]) - limit + 1
  local victims = {}
  for index = 4, #ARGV do
    if #victims >= excess then break end
    if redis.call('ZSCORE', KEYS[1], ARGV[index]) then victims[#victims + 1] = ARGV[index] end
  end
  if #victims < excess then
    local members = redis.call('ZRANGE', KEYS[1], 0, -1)
    table.insert(members, 1, 0)
    return members
  end
  for _, victim in ipairs(victims) do
    redis.call('ZREM', KEYS[1], victim)
    redis.call('ZADD', KEYS[2], now + lease * 2, victim)
    redis.call('PEXPIRE', KEYS[2], lease * 2)
    answer[#answer + 1] = victim
  end
end
redis.call('ZREM', KEYS[2], member)
redis.call('ZADD', KEYS[1], now + lease, member)
redis.call('PEXPIRE', KEYS[1], lease * 2)
return answer
`);

/**
 * KEYS leases, evicted; ARGV limit, lease, members, the oldest first. Answers for each: 1 extended, 2 put
 * back, 0 lost and no room, -1 had to make room.
 */
const RENEW = new Script(`${NOW}
local limit, lease = tonumber(ARGV[1]), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local count = redis.call('ZCARD', KEYS[1])
local answers = {}
for index = 3, #ARGV do
  local member = ARGV[index]
  local answer = 1
  if not redis.call('ZSCORE', KEYS[1], member) then
    if redis.call('ZSCORE', KEYS[2], member) then
      answer = -1
    elseif count >= limit then
      answer = 0
    else
      count = count + 1
      answer = 2
    end
  end
  if answer > 0 then redis.call('ZADD', KEYS[1], now + lease, member) end
  answers[#answers + 1] = answer
end
redis.call('PEXPIRE', KEYS[1], lease * 2)
return answers
`);

/** KEYS leases. Answers the members whose lease has not ended. */
const PEEK = new Script(`${NOW}
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now), '+inf')
`);

/** What became of an arrival. */
export type Acquired =
  | { readonly isHeld: true; readonly victims: readonly string[] }
  | { readonly isHeld: false; readonly members: readonly string[] };

/** What became of a lease that was to be renewed. */
export type Renewed = 'extended' | 'restored' | 'lost' | 'evicted';

const RENEWED: Readonly<Record<string, Renewed>> = {
  '1': 'extended',
  '2': 'restored',
  '0': 'lost',
  '-1': 'evicted',
};

/** Who holds slots, in Redis. Every command may fail or hang: whoever calls sets the deadline. */
export class LeaseRegistry {
  constructor(
    private readonly connection: () => Connection,
    private readonly leaseMs: number,
  ) {}

  /**
   * Takes a slot, or extends the one the member has: asking again after a lost answer does no harm.
   *
   * @param evictable members that may make room, the first first
   */
  async acquire(
    keys: UserKeys,
    member: string,
    limit: number,
    evictable: readonly string[] = [],
  ): Promise<Acquired> {
    const args = [member, String(limit), String(this.leaseMs), ...evictable];
    const reply = await ACQUIRE.run(this.connection(), [keys.leases, keys.evicted], args);
    const [code, ...members] = reply as [number, ...string[]];
    return code === 0 ? { isHeld: false, members } : { isHeld: true, victims: members };
  }

  /** Extends slots and puts back what Redis has lost. In the order of `members`. */
  async renew(keys: UserKeys, members: readonly string[], limit: number): Promise<Renewed[]> {
    const args = [String(limit), String(this.leaseMs), ...members];
    const reply = await RENEW.run(this.connection(), [keys.leases, keys.evicted], args);
    return (reply as number[]).map((code) => RENEWED[String(code)]!);
  }

  /** Gives slots back. Safe to repeat. */
  async release(keys: UserKeys, members: string[]): Promise<void> {
    await this.connection().zRem(keys.leases, members);
  }

  /** The members that hold a slot at this moment. */
  async peek(keys: UserKeys): Promise<string[]> {
    return (await PEEK.run(this.connection(), [keys.leases], [])) as string[];
  }
}
