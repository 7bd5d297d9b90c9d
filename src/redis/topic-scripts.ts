import { NOW, PUBLISH } from './lua.js';
import { Script } from './script.js';

// A topic has, all in one hash slot: `nodes`, a sorted set of the nodes with members and the times at which their leases
// end; for each node a hash of its users, with their connections as JSON; and `users`, a hash of all users with the
// number of nodes that each is on. A node renews its lease again and again. The first node that finds the lease of
// another one ended removes the users of that node, so a node that dies takes its members with it. All keys live for two
// leases after the last renewal: with the last node, everything is gone.
//
// The hashes have the field '' as well, which names one generation of `users`. When `users` is lost (a failover, another
// program), a new generation begins, and the hash of every node that belongs to an earlier one counts as empty.

// The users of a node are never counted up or down, but compared with the list that the node sends: a command that is
// sent twice changes nothing.
const MEMBERS = `
local nodes, users = KEYS[1], KEYS[2]
local joined, left = {}, {}

local function come(user)
  if redis.call('HINCRBY', users, user, 1) == 1 then joined[#joined + 1] = user end
end

local function go(user)
  if redis.call('HINCRBY', users, user, -1) > 0 then return end
  redis.call('HDEL', users, user)
  left[#left + 1] = user
end

-- Removes the users of nodes whose lease has ended.
local function bury(prefix)
  local generation = redis.call('HGET', users, '')
  for _, dead in ipairs(redis.call('ZRANGEBYSCORE', nodes, '-inf', now)) do
    if generation and redis.call('HGET', prefix .. dead, '') == generation then
      for _, user in ipairs(redis.call('HKEYS', prefix .. dead)) do
        if user ~= '' then go(user) end
      end
    end
    redis.call('DEL', prefix .. dead)
    redis.call('ZREM', nodes, dead)
  end
end

local function size(hash) return math.max(0, redis.call('HLEN', hash) - 1) end

local function listed(names)
  local texts = {}
  for index, name in ipairs(names) do texts[index] = cjson.encode(name) end
  return '[' .. table.concat(texts, ',') .. ']'
end

-- Tells every node with members who has joined and left. Above the bound, only how many there are.
local function tell(channel, before, after, most)
  if before == '' or #joined + #left == 0 then return end
  local count = size(users)
  if count > most then joined, left = {}, {} end
  local change = '{"joined":' .. listed(joined) .. ',"left":' .. listed(left) .. ',"count":' .. count .. '}'
  publish(redis.call('ZRANGEBYSCORE', nodes, '(' .. whole(now), '+inf'), channel, before .. change .. after, {}, '')
end
`;

/**
 * KEYS nodes, users, users of this node; ARGV prefix of the keys of nodes, prefix of node channels, message before and
 * after the change (empty: no node is told), most users that are named, node, lease in milliseconds, name for a new
 * generation, `all` if the list names all users of this node, then for each user the name and its connections as JSON,
 * empty for a user that has left. Renews the lease. Returns the number of users of this node.
 */
export const SYNC = new Script(`${NOW}${PUBLISH}${MEMBERS}
local own, node, lease = KEYS[3], ARGV[6], tonumber(ARGV[7])
bury(ARGV[1])
local generation = redis.call('HGET', users, '')
if not generation then
  generation = ARGV[8]
  redis.call('HSET', users, '', generation)
end
if redis.call('HGET', own, '') ~= generation then
  redis.call('DEL', own)
  redis.call('HSET', own, '', generation)
end
local named = { [''] = true }
for index = 10, #ARGV, 2 do
  local user, state = ARGV[index], ARGV[index + 1]
  named[user] = true
  local isKnown = redis.call('HEXISTS', own, user) == 1
  if state ~= '' then
    redis.call('HSET', own, user, state)
    if not isKnown then come(user) end
  elseif isKnown then
    redis.call('HDEL', own, user)
    go(user)
  end
end
if ARGV[9] == 'all' then
  for _, user in ipairs(redis.call('HKEYS', own)) do
    if not named[user] then
      redis.call('HDEL', own, user)
      go(user)
    end
  end
end
if size(own) > 0 then
  redis.call('ZADD', nodes, now + lease, node)
else
  redis.call('ZREM', nodes, node)
  redis.call('DEL', own)
end
if redis.call('ZCARD', nodes) == 0 then redis.call('DEL', users) end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, lease * 2) end
tell(ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]))
return size(own)
`);

/** KEYS nodes, users; the first five ARGV of {@link SYNC}. Returns the number of users. */
export const COUNT = new Script(`${NOW}${PUBLISH}${MEMBERS}
bury(ARGV[1])
tell(ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]))
return size(users)
`);

/** KEYS nodes, users; the first five ARGV of {@link SYNC}. Returns the users of all nodes, each with its connections. */
export const USERS = new Script(`${NOW}${PUBLISH}${MEMBERS}
bury(ARGV[1])
tell(ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]))
local answer = {}
for _, node in ipairs(redis.call('ZRANGE', nodes, 0, -1)) do
  for _, part in ipairs(redis.call('HGETALL', ARGV[1] .. node)) do answer[#answer + 1] = part end
end
return answer
`);

/** KEYS nodes, users, users of this node. Removes the topic, after another program has written under these keys. */
export const FORGET_TOPIC = new Script(`
for _, key in ipairs(KEYS) do redis.call('DEL', key) end
return 1
`);
