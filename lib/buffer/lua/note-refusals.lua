-- note-refusals: notes the last refusals of some streams.
--
-- KEYS  1…n  lists of texts, newest first
-- ARGV  1 max      how many texts a list keeps
--       2 ttlMs    how long a list is kept after the last refusal, in milliseconds
--       3… for each list: how many texts, and then these, oldest first
-- Returns  1
--
-- Invariant: no list is longer than max, and each expires. No list of events is touched.

local max, ttlMs = tonumber(ARGV[1]), ARGV[2]

local at = 3
for _, list in ipairs(KEYS) do
  local count = tonumber(ARGV[at])
  -- Somebody may have written another type: the list is ours, so it is made anew.
  local reply = redis.pcall("LPUSH", list, unpack(ARGV, at + 1, at + count))
  if type(reply) == "table" and reply.err then
    redis.call("DEL", list)
    redis.call("LPUSH", list, unpack(ARGV, at + 1, at + count))
  end
  redis.call("LTRIM", list, 0, max - 1)
  redis.call("PEXPIRE", list, ttlMs)
  at = at + count + 1
end
return 1
