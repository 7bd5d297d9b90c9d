import type { PositionSeal } from '../history/position-seal.js';
import type { RedisConnection } from './connections.js';
import type { Keys } from './keys.js';
import { Script } from './script.js';
import type { Unreadable } from './unreadable.js';

/** KEYS seal; ARGV key. Keeps the key if there is none yet. Returns the key that is kept. */
const SHARE = new Script(`
local known = redis.call('hget', KEYS[1], 'key')
if known then return known end
redis.call('hset', KEYS[1], 'key', ARGV[1])
return ARGV[1]
`);

/**
 * Takes the key with which all nodes seal positions. The first node puts its own into Redis, and so does the first one
 * after Redis has lost its data: positions from before are then as credible as invented ones.
 */
export async function shareSeal(
  connection: RedisConnection,
  keys: Keys,
  seal: PositionSeal,
  unreadable: Unreadable,
): Promise<void> {
  const key = await SHARE.run(connection, [keys.seal], [seal.key]);
  if (!seal.share(key)) unreadable.note('the key for positions');
}
