import type { RedisConnection } from './connections.js';
import type { Keys } from './keys.js';
import { Script } from './script.js';

/** A command that is sent outside of scripts, other than EVAL and EVALSHA. Each is tried on its own. */
type Attempt = (connection: RedisConnection, keys: Keys) => Promise<unknown>;

const OUTSIDE: Readonly<Record<string, Attempt>> = {
  ping: (connection) => connection.ping?.() ?? Promise.resolve(),
  zrem: (connection, keys) => connection.zRem(keys.check, ['none']),
  publish: (connection, keys) => connection.publish(keys.channelOf('check'), ''),
};

// Tries every command that the scripts call, on a key of its own that is deleted at the end. A command that fails for
// any other reason than a missing right is allowed.
const TRY = new Script(`
local key, missing = KEYS[1], {}
local function try(name, ...)
  local reply = redis.pcall(name, ...)
  local text = type(reply) == 'table' and reply.err
  if not text then return end
  text = string.lower(text)
  if string.find(text, "can't run this command", 1, true) or string.find(text, 'unknown', 1, true)
    or string.find(text, 'noperm', 1, true) then
    missing[#missing + 1] = name
  end
end
try('time')
try('info', 'server')
try('publish', ARGV[1], '')
try('exists', key)
try('zadd', key, 1, 'a')
try('zscore', key, 'a')
try('zcard', key)
try('zcount', key, 0, 1)
try('zrange', key, 0, 0)
try('zrangebyscore', key, 0, 1)
try('zremrangebyscore', key, 2, 3)
try('zrem', key, 'b')
try('pexpire', key, 1000)
try('hset', key, 'a', 1)
try('hget', key, 'a')
try('hmget', key, 'a')
try('hdel', key, 'a')
try('hkeys', key)
try('hvals', key)
try('hlen', key)
try('hexists', key, 'a')
try('hgetall', key)
try('hincrby', key, 'c', 1)
try('xadd', key, '*', 'a', 1)
try('xlen', key)
try('xrange', key, '-', '+', 'COUNT', 1)
try('xrevrange', key, '+', '-', 'COUNT', 1)
try('xdel', key, '1-1')
try('xtrim', key, 'MAXLEN', 1)
try('del', key)
return missing
`);

/** Whether the user of Redis lacks the right to a command, a key or a channel. */
export function isDenied(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return /^NOPERM\b|can't run this command|^ERR unknown command/i.test(error.message);
}

/**
 * The rights that the user of Redis lacks, as an ACL writes them; an empty list if none is missing.
 *
 * @throws any other error of Redis
 */
export async function missingPermissions(
  connection: RedisConnection,
  keys: Keys,
): Promise<string[]> {
  const missing = new Set<string>();
  for (const name of await tryScripts(connection, keys, missing)) missing.add(`+${String(name)}`);
  for (const [name, attempt] of Object.entries(OUTSIDE)) {
    await unlessDenied(attempt(connection, keys), `+${name}`, keys, missing);
  }
  return [...missing].toSorted();
}

async function tryScripts(
  connection: RedisConnection,
  keys: Keys,
  missing: Set<string>,
): Promise<readonly unknown[]> {
  const parts = { keys: [keys.check], arguments: [keys.channelOf('check')] };
  const inFull = await unlessDenied(connection.eval(TRY.source, parts), '+eval', keys, missing);
  await unlessDenied(connection.evalSha(TRY.sha, parts), '+evalsha', keys, missing);
  return Array.isArray(inFull) ? inFull : [];
}

async function unlessDenied(
  answer: Promise<unknown>,
  right: string,
  keys: Keys,
  missing: Set<string>,
): Promise<unknown> {
  try {
    return await answer;
  } catch (error) {
    if (String(error).includes('NOSCRIPT')) return undefined;
    if (!isDenied(error)) throw error;
    const { message } = error as Error;
    if (/\bkeys\b/.test(message)) missing.add(`~${keys.all}`);
    else if (/\bchannels?\b/.test(message)) missing.add(`&${keys.all}`);
    else missing.add(right);
    return undefined;
  }
}

/** The warning about missing rights. */
export function permissionWarning(missing: readonly string[]): string {
  return (
    `The user of Redis lacks ${missing.join(' ')}: features that need these rights do not work. ` +
    'Run ACL SETUSER with the rights that docs/cluster.md lists. Commands that are renamed in redis.conf ' +
    '(rename-command) have to get their original names back.'
  );
}
