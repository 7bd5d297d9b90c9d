import { NOW, PUBLISH } from './lua.js';
import { Script } from './script.js';

// The log of revocations is one stream for all nodes: few are made, and every node reads all of them. Its
// ids are the time of Redis at which an entry came; `at` is when the revocation was made.

/** Revocations that are kept at most, the latest. */
export const MOST_REVOCATIONS = 100_000;
/** How long a revocation is kept: for nodes that are frozen or out of touch meanwhile. */
export const REVOCATION_LIFE_MS = 3_600_000;

const BOUNDS = `
local most, life = ${MOST_REVOCATIONS}, ${REVOCATION_LIFE_MS}
`;

/**
 * KEYS log, nodes; ARGV milliseconds since it was made, what it is, node, beginning of a node's channel,
 * message before and after the time at which it was made. Keeps it and publishes it to every other node that
 * is alive; answers its id, its time, each node and how many listened.
 */
export const REVOKE = new Script(`${NOW}${BOUNDS}${PUBLISH}
local at = whole(now - ARGV[1])
local id = redis.call('XADD', KEYS[1], '*', 'what', ARGV[2], 'at', at, 'by', ARGV[3])
redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', most)
redis.call('XTRIM', KEYS[1], 'MINID', '~', whole(now - life))
redis.call('PEXPIRE', KEYS[1], life)
local alive = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. whole(now), '+inf')
return publish(alive, ARGV[4], ARGV[5] .. at .. ARGV[6], { id, at }, ARGV[3])
`);

/**
 * KEYS log; ARGV id of the last entry that was read, or an empty text; milliseconds since the last look, or
 * since the node was made; id of the last entry that the node itself has made, or an empty text. Answers
 * the time, 1 where entries are gone that were not read, 1 where the node's own are gone, the last id,
 * then for each entry id, time at which it was made, node, what it is.
 */
export const LOOK = new Script(`${NOW}${BOUNDS}
local log, cursor, since, own = KEYS[1], ARGV[1], now - ARGV[2], ARGV[3]
local first = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
local isFull = redis.call('XLEN', log) >= most
local answer = { whole(now), 0, 0, last and last[1] or '0-0' }
if since < now - life then answer[2] = 1 end
if isFull and tonumber(string.match(first[1], '^%d+')) > since then answer[2] = 1 end
if own ~= '' and not isFull and #redis.call('XRANGE', log, own, own) == 0 then answer[3] = 1 end
if cursor == '' then cursor = whole(since) .. '-0' end
for _, entry in ipairs(redis.call('XRANGE', log, '(' .. cursor, '+', 'COUNT', 500)) do
  answer[#answer + 1] = entry[1]
  answer[#answer + 1] = entry[2][4] or ''
  answer[#answer + 1] = entry[2][6] or ''
  answer[#answer + 1] = entry[2][2]
end
return answer
`);

/** KEYS log. Begins it anew: something else was written there. */
export const CLEAR = new Script(`redis.call('DEL', KEYS[1])`);
