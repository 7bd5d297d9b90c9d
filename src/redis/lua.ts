// What several scripts begin with.

/**
 * `now`: the time of Redis in whole milliseconds, so that a node whose clock is wrong harms no other. `whole(number)`:
 * a number as text, without an exponent.
 */
export const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function whole(number) return string.format('%.0f', number) end
`;

/**
 * `publish(members, channel, message, answer, except)`: publishes once to every node that `members` begin with, but for
 * one, on the channel that begins with `channel`. Adds each node and how many listened to `answer`, and returns it.
 */
export const PUBLISH = `
local function publish(members, channel, message, answer, except)
  local seen = { [except] = true }
  for _, member in ipairs(members) do
    local node = string.match(member, '^[^:]*')
    if not seen[node] then
      seen[node] = true
      answer[#answer + 1] = node
      answer[#answer + 1] = redis.call('PUBLISH', channel .. node, message)
    end
  end
  return answer
end
`;
