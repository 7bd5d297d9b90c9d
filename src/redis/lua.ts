// Beginnings that several scripts share.

/**
 * `now`: the time of Redis in whole milliseconds, so that the wrong clock of a node does not affect other nodes.
 * `whole(number)`: formats a number without an exponent.
 */
export const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function whole(number) return string.format('%.0f', number) end
`;

/**
 * `publish(members, channel, message, answer, except)`: publishes a message once to each node that `members` begin
 * with, except to the node `except`. The channel is `channel` followed by the node. Unless `answer` is nil, appends each
 * node and its number of receivers to it; returns `answer`.
 */
export const PUBLISH = `
local function publish(members, channel, message, answer, except)
  local seen = { [except] = true }
  for _, member in ipairs(members) do
    local node = string.match(member, '^[^:]*')
    if not seen[node] then
      seen[node] = true
      local receivers = redis.call('PUBLISH', channel .. node, message)
      if answer then
        answer[#answer + 1] = node
        answer[#answer + 1] = receivers
      end
    end
  end
  return answer
end
`;
