import { CHUNK_BYTES, EVENT_OVERHEAD_BYTES } from '../history/event-history.js';
import { NOW, PUBLISH } from './lua.js';
import { Script } from './script.js';

// A history is a stream, whose ids are the offsets, and a hash. Fields of the hash: `e` epoch, `s` offset of the latest
// event, `c` offset of the latest critical event, `b` bytes, and for every node the number of its latest event. The
// hash lives twice as long as the window: to prove that no event was missed, Redis has to remember the position for
// longer than the events.
//
// Redis may restart from an old copy, or a replica that lagged may take over. Then the end of a history is lost, and
// its offsets would be given out again. So a history continues under a new epoch when another server has taken over
// (`r` is the run id of the server that wrote it), and when a node has seen more of it than there is. `f` holds the
// earlier epochs, latest first: epoch, offset at which it ended, 1 if events after that offset are lost. A position in
// an earlier epoch is valid as long as no event behind it is lost.

const LINEAGE = `
-- Returns the run id of this server. Looking for the expected one first is cheaper than a pattern match.
local function server(expected)
  local info = redis.pcall('INFO', 'server')
  if type(info) ~= 'string' then return expected or '' end
  if expected and expected ~= '' and string.find(info, expected, 1, true) then return expected end
  return string.match(info, 'run_id:(%x+)') or ''
end

-- Whether a node or a client has seen a position that this history does not have. isUnknownBehind is the result for an
-- epoch that is not remembered.
local function isBehind(hash, epoch, offset, seenEpoch, seenOffset, isUnknownBehind)
  if seenEpoch == '' then return false end
  if seenEpoch == epoch then return tonumber(seenOffset) > offset end
  for past, ending, isLost in string.gmatch(redis.call('HGET', hash, 'f') or '', '([%w_-]+):(%d+):(%d)') do
    if past == seenEpoch then return isLost == '0' and tonumber(seenOffset) > tonumber(ending) end
  end
  return isUnknownBehind
end

-- Continues the history under a new epoch, and remembers up to eight earlier ones. An epoch that only the node has seen
-- is remembered too: commands that this node has already sent name it again, and must not change the epoch again.
local function turn(hash, epoch, offset, isLost, fresh, seenEpoch, run)
  local past = { epoch .. ':' .. whole(offset) .. ':' .. (isLost and 1 or 0) }
  local isKnown = seenEpoch == '' or seenEpoch == epoch
  for one, name in string.gmatch(redis.call('HGET', hash, 'f') or '', '(([%w_-]+):%d+:%d)') do
    past[#past + 1] = one
    isKnown = isKnown or name == seenEpoch
  end
  if not isKnown then table.insert(past, 2, seenEpoch .. ':0:1') end
  redis.call('HSET', hash, 'e', fresh, 'f', table.concat(past, ',', 1, math.min(#past, 8)))
  if run then redis.call('HSET', hash, 'r', run) end
  return fresh
end

-- Begins a new history. Another one that the node has seen counts as lost.
local function begin(hash, fresh, seenEpoch)
  redis.call('HSET', hash, 'e', fresh, 's', 0, 'b', 0, 'r', server())
  if seenEpoch ~= '' then redis.call('HSET', hash, 'f', seenEpoch .. ':0:1') end
end
`;

// Removes events beyond the bounds of age, number and bytes. Returns the offset of the latest event that is gone, and
// the bytes left.
const TRIM = `
local function trim(stream, offset, bytes, window, maxEvents, maxBytes)
  local left = redis.call('XLEN', stream)
  if left == 0 then return offset, 0 end
  while left > 0 do
    local entry = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
    local fields = entry[2]
    if #fields ~= 8 then error('not an event') end
    if left <= maxEvents and bytes <= maxBytes and tonumber(fields[4]) > now - window then break end
    bytes = bytes - #fields[2] - ${EVENT_OVERHEAD_BYTES}
    left = left - 1
    redis.call('XDEL', stream, entry[1])
  end
  return offset - left, bytes
end
`;

// Publishes to every node that the sorted set of holders names: nodes with leases of the user, or with members of the
// topic. If another program has written under that key, the other nodes cannot be found, and the message goes only to the
// node that sent the command.
const TO_HOLDERS = `${PUBLISH}
local function publishToHolders(holders, channel, message, answer, asking)
  local members = redis.pcall('ZRANGEBYSCORE', holders, '(' .. whole(now), '+inf')
  if members.err then members = { asking } end
  return publish(members, channel, message, answer, '')
end
`;

/**
 * KEYS holders, hash, stream; ARGV prefix of node channels, message before and after the position, body, `c` for a
 * critical event, connection it is for, epoch for a new history, window, most events, most bytes, node, number of the
 * event on that node, number of the previous event that Redis must have, epoch and offset that the node has seen.
 * Returns `early` if Redis lacks the previous event, `again` if it already has this event, `unwanted` if there is no
 * history and no holder, or `done`, epoch, offset, bytes of the history, then each node and its number of receivers.
 */
export const APPEND = new Script(`${NOW}${LINEAGE}${TRIM}${TO_HOLDERS}
local holders, hash, stream = KEYS[1], KEYS[2], KEYS[3]
local channel, before, after, body, kind, only = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local window, maxEvents, maxBytes = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local number, previous = tonumber(ARGV[12]), tonumber(ARGV[13])
local known = redis.call('HMGET', hash, 'e', 's', 'b', ARGV[11], 'r')
local epoch, offset, bytes = known[1], tonumber(known[2] or 0), tonumber(known[3] or 0)
local last = tonumber(known[4] or 0)
if epoch and not string.match(epoch, '^[%w_-]+$') then error('not an epoch') end
if last >= number then return { 'again' } end
if last < previous then return { 'early' } end
if not epoch then
  local from = '(' .. whole(now)
  -- The holders may have been lost together with the history. A node that has seen the history proves that it was open.
  local isOpen = ARGV[14] ~= '' or redis.pcall('ZCOUNT', holders, from, '+inf') ~= 0
  if kind ~= 'c' and not isOpen then return { 'unwanted' } end
  epoch = ARGV[7]
  redis.call('DEL', stream)
  begin(hash, epoch, ARGV[14])
else
  local run = server(known[5])
  local isLost = isBehind(hash, epoch, offset, ARGV[14], ARGV[15], true)
  if isLost or run ~= (known[5] or '') then epoch = turn(hash, epoch, offset, isLost, ARGV[7], ARGV[14], run) end
end
offset = offset + 1
local id = whole(offset)
if redis.call('EXISTS', stream) == 0 then
  bytes = 0
end
redis.call('XADD', stream, id .. '-1', 'b', body, 't', whole(now), 'k', kind, 'o', only)
local _, left = trim(stream, offset, bytes + #body + ${EVENT_OVERHEAD_BYTES}, window, maxEvents, maxBytes)
redis.call('HSET', hash, 'e', epoch, 's', id, 'b', left, ARGV[11], ARGV[12])
if kind == 'c' and only == '' then redis.call('HSET', hash, 'c', id) end
redis.call('PEXPIRE', hash, window * 2)
redis.call('PEXPIRE', stream, window)
return publishToHolders(holders, channel, before .. epoch .. '.' .. id .. after, { 'done', epoch, id, whole(left) }, ARGV[11])
`);

/**
 * KEYS hash, stream; ARGV epoch for a new history, window, most events, most bytes, epoch and offset that the node has
 * seen, then the part to read: `after`, an epoch, an offset and `1` if it proves that the history had this position;
 * `critical`; or `head`. Returns epoch, offset of the
 * latest event, 1 for a gap, offset up to which this part goes, then for each event offset, kind, connection it is for,
 * body.
 */
export const READ = new Script(`${NOW}${LINEAGE}${TRIM}
local hash, stream, wanted = KEYS[1], KEYS[2], ARGV[7]
local from = tonumber(ARGV[9] or 0)
local window = tonumber(ARGV[2])
local known = redis.call('HMGET', hash, 'e', 's', 'b', 'c')
local epoch, offset, bytes = known[1], tonumber(known[2] or 0), tonumber(known[3] or 0)
local critical = tonumber(known[4] or 0)
if not epoch then
  epoch = ARGV[1]
  redis.call('DEL', stream)
  begin(hash, epoch, ARGV[5])
elseif isBehind(hash, epoch, offset, ARGV[5], ARGV[6], true)
  or wanted == 'after' and ARGV[10] == '1' and isBehind(hash, epoch, offset, ARGV[8], from, false) then
  epoch = turn(hash, epoch, offset, true, ARGV[1], ARGV[5])
end
redis.call('PEXPIRE', hash, window * 2)
local floor, left = trim(stream, offset, bytes, window, tonumber(ARGV[3]), tonumber(ARGV[4]))
if left ~= bytes then redis.call('HSET', hash, 'b', left) end
local head = whole(offset)
local answer = { epoch, head, 0, head }
local function add(entry)
  local fields = entry[2]
  if #fields ~= 8 then error('not an event') end
  answer[#answer + 1] = string.match(entry[1], '^%d+')
  answer[#answer + 1] = fields[6]
  answer[#answer + 1] = fields[8]
  answer[#answer + 1] = fields[2]
  return #fields[2] + ${EVENT_OVERHEAD_BYTES}
end
if wanted == 'critical' and critical > floor then
  for _, entry in ipairs(redis.call('XRANGE', stream, '-', '+')) do
    if entry[2][6] == 'c' and entry[2][8] == '' then add(entry) end
  end
elseif wanted == 'after' then
  if ARGV[8] ~= epoch then
    local isKnown, isMissing = false, false
    for past, ending, isLost in string.gmatch(redis.call('HGET', hash, 'f') or '', '([%w_-]+):(%d+):(%d)') do
      isMissing = isMissing or isLost == '1'
      if past == ARGV[8] then
        isKnown = true
        if from > tonumber(ending) then
          isMissing = true
          from = tonumber(ending)
        end
        break
      end
    end
    if not isKnown then from = floor end
    if not isKnown or isMissing then answer[3] = 1 end
  elseif from > offset then
    answer[3] = 1
    from = floor
  end
  if from < floor then
    answer[3] = 1
    from = floor
  end
  local size = 0
  while from < offset and size < ${CHUNK_BYTES} do
    local part = redis.call('XRANGE', stream, string.format('%.0f', from + 1), '+', 'COUNT', 16)
    if #part == 0 then break end
    for _, entry in ipairs(part) do
      size = size + add(entry)
      from = from + 1
      if size >= ${CHUNK_BYTES} then break end
    end
  end
  answer[4] = whole(from)
end
return answer
`);

/**
 * KEYS hash; ARGV window, epoch for a history whose end is lost, epoch and offset that the node has seen. Extends the
 * life of an open history. Returns its epoch and the offset of its latest event.
 */
export const TOUCH = new Script(`${NOW}${LINEAGE}
redis.call('PEXPIRE', KEYS[1], ARGV[1] * 2)
local known = redis.call('HMGET', KEYS[1], 'e', 's')
if known[1] and isBehind(KEYS[1], known[1], tonumber(known[2] or 0), ARGV[3], ARGV[4], true) then
  known[1] = turn(KEYS[1], known[1], tonumber(known[2] or 0), true, ARGV[2], ARGV[3])
end
return known
`);

/** KEYS hash, stream. Removes the events of a history: the next read from an earlier position returns a gap. */
export const EMPTY = new Script(`
redis.call('DEL', KEYS[2])
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'b', 0) end
return 1
`);

/**
 * KEYS holders, hash, stream; ARGV prefix of node channels, message, epoch of the new history, window, node. Begins the
 * history anew after events were lost before they reached Redis: the next read from an earlier position returns a gap.
 */
export const RESET = new Script(`${NOW}${LINEAGE}${TO_HOLDERS}
local known = redis.pcall('HMGET', KEYS[2], 'e', 's')
local offset, past = 0, ''
if not known.err and string.match(known[1] or '', '^[%w_-]+$') and string.match(known[2] or '', '^%d+$') then
  offset = known[2]
  past = known[1] .. ':' .. offset .. ':1'
end
redis.call('DEL', KEYS[2])
redis.call('DEL', KEYS[3])
redis.call('HSET', KEYS[2], 'e', ARGV[3], 's', offset, 'b', 0, 'r', server(), 'f', past)
redis.call('PEXPIRE', KEYS[2], ARGV[4] * 2)
return publishToHolders(KEYS[1], ARGV[1], ARGV[2], { 'done' }, ARGV[5])
`);
