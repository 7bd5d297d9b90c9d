import { NOW } from './lua.js';
import { Script } from './script.js';

/**
 * KEYS leases, evicted; ARGV member, limit, lease, then members that may be evicted, in this order. Returns the outcome
 * (0 full, 1 taken, 2 held already), then the evicted members, or all members if it is full.
 */
export const ACQUIRE = new Script(`${NOW}
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
 * KEYS leases, evicted; ARGV node, limit, lease, a time at which the node already knew the following lists, a time
 * since which the leases of others are in doubt, number of held members, the held members, oldest first, then the
 * members that are being acquired. Gives back the leases of the node that it does not name, then extends or takes the
 * held ones. Returns the time, for each held member its outcome (1 extended, 2 restored, 0 lost for lack of room, -1
 * evicted, 3 undecided: no room as far as is known), and then the members that were not renewed since.
 */
export const RECONCILE = new Script(`${NOW}
local prefix, limit, lease = ARGV[1] .. ':', tonumber(ARGV[2]), tonumber(ARGV[3])
local listed, since, last = tonumber(ARGV[4]), tonumber(ARGV[5]), 6 + ARGV[6]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local count = redis.call('ZCARD', KEYS[1])
local present, known = {}, 0
for index = 7, #ARGV do
  if redis.call('ZSCORE', KEYS[1], ARGV[index]) then
    present[ARGV[index]] = true
    known = known + 1
  end
end
if count > known then
  local members = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
  for index = 1, #members, 2 do
    local member = members[index]
    local isOwn = string.sub(member, 1, #prefix) == prefix
    if isOwn and not present[member] and members[index + 1] - lease < listed then
      redis.call('ZREM', KEYS[1], member)
      count = count - 1
    end
  end
end
local answer, refused = { now }, {}
for index = 7, last do
  local member = ARGV[index]
  local outcome = 1
  if not present[member] then
    if redis.call('ZSCORE', KEYS[2], member) then
      outcome = -1
    elseif count >= limit then
      outcome = 0
      refused[#refused + 1] = index - 5
    else
      count = count + 1
      outcome = 2
    end
  end
  if outcome > 0 then redis.call('ZADD', KEYS[1], now + lease, member) end
  answer[index - 5] = outcome
end
redis.call('PEXPIRE', KEYS[1], lease * 2)
if #refused > 0 then
  local from = whole(math.min(since, now) + lease)
  if redis.call('ZCOUNT', KEYS[1], from, '+inf') < limit then
    for _, place in ipairs(refused) do answer[place] = 3 end
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. from)) do
      answer[#answer + 1] = member
    end
  end
end
return answer
`);

/**
 * KEYS leases of users; ARGV node, lease, then for each user the number of held members, and the members. Extends the
 * leases of users of whom Redis has exactly these members of the node. Returns the time, and then the places of the other
 * users among KEYS.
 */
export const EXTEND = new Script(`${NOW}
local prefix, lease, place, answer = ARGV[1] .. ':', tonumber(ARGV[2]), 3, { now }
for index, key in ipairs(KEYS) do
  local held, last, isExact = place + 1, place + ARGV[place], true
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  for at = held, last do
    if not redis.call('ZSCORE', key, ARGV[at]) then isExact = false end
  end
  if isExact and redis.call('ZCARD', key) > last - place then
    local own = 0
    for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
      if string.sub(member, 1, #prefix) == prefix then own = own + 1 end
    end
    isExact = own == last - place
  end
  if isExact then
    for at = held, last do redis.call('ZADD', key, now + lease, ARGV[at]) end
    redis.call('PEXPIRE', key, lease * 2)
  else
    answer[#answer + 1] = index
  end
  place = last + 1
end
return answer
`);

/** KEYS leases. Returns the members whose lease has not ended. */
export const PEEK = new Script(`${NOW}
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. whole(now), '+inf')
`);
