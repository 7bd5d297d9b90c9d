import { NOW, PUBLISH } from './lua.js';
import { Script } from './script.js';

// The log of revocations is one stream for all nodes: revocations are rare, and every node reads all of them. The id of
// an entry is the time of Redis at which it was added; `at` is the time at which the revocation was made.

/** Most revocations that are kept; the oldest are removed. */
export const MOST_REVOCATIONS = 100_000;
/** Milliseconds for which a revocation is kept, for nodes that are frozen or cut off meanwhile. */
export const REVOCATION_LIFE_MS = 3_600_000;

const BOUNDS = `
local most, life = ${MOST_REVOCATIONS}, ${REVOCATION_LIFE_MS}
`;

/**
 * KEYS log, nodes; ARGV milliseconds since the revocation was made, the revocation, node, prefix of node channels,
 * message before and after the time at which it was made. Adds the revocation to the log, and publishes it to every
 * other node that is alive. Returns its id, its time, then each node and its number of receivers.
 */
export const ADD = new Script(`${NOW}${BOUNDS}${PUBLISH}
local at = whole(now - ARGV[1])
local id = redis.call('XADD', KEYS[1], '*', 'what', ARGV[2], 'at', at, 'by', ARGV[3])
redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', most)
redis.call('XTRIM', KEYS[1], 'MINID', '~', whole(now - life))
redis.call('PEXPIRE', KEYS[1], life)
local alive = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. whole(now), '+inf')
return publish(alive, ARGV[4], ARGV[5] .. at .. ARGV[6], { id, at }, ARGV[3])
`);

/**
 * KEYS log; ARGV id of the last entry that the node has read, or an empty text; milliseconds since the last look, or
 * since the start of the node; id of the last entry that the node itself has added, or an empty text. Returns the time,
 * 1 if entries are gone that the node has not read, 1 if its own entries are gone, the last id, then for each entry id,
 * time at which the revocation was made, node, the revocation.
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

/** KEYS log. Deletes the log, after another program has written under its key. */
export const CLEAR = new Script(`redis.call('DEL', KEYS[1])`);
