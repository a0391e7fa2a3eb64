-- count-webhooks: adds one instance's counts of webhooks to those of all instances.
--
-- KEYS  1 counts   hash: "{stream}/{source}" to "good goodAtMs failed failedAtMs"
-- ARGV  for each source five values:
--       1 source     "{stream}/{source}"
--       2 good       deliveries whose signature held, since the instance's last call
--       3 goodAtMs   when the last of them came, in milliseconds; 0: none did
--       4 failed     deliveries whose signature did not hold
--       5 failedAtMs when the last of them came
-- Returns  1
--
-- Three billed commands, however many sources there are. It is not replay-safe: sent twice, it counts twice.
--
-- Invariant: a time never goes back, whichever instance calls last.

local counts = KEYS[1]
local PER_SOURCE = 5

local sources = {}
for i = 1, #ARGV, PER_SOURCE do sources[#sources + 1] = ARGV[i] end
local known = redis.call("HMGET", counts, unpack(sources))

local fields = {}
for n, source in ipairs(sources) do
  local at = (n - 1) * PER_SOURCE
  local good, goodAtMs, failed, failedAtMs = string.match(known[n] or "", "^(%d+) (%d+) (%d+) (%d+)$")
  fields[#fields + 1] = source
  fields[#fields + 1] = string.format(
    "%.0f %.0f %.0f %.0f",
    (tonumber(good) or 0) + tonumber(ARGV[at + 2]),
    math.max(tonumber(goodAtMs) or 0, tonumber(ARGV[at + 3])),
    (tonumber(failed) or 0) + tonumber(ARGV[at + 4]),
    math.max(tonumber(failedAtMs) or 0, tonumber(ARGV[at + 5]))
  )
end
redis.call("HSET", counts, unpack(fields))
return 1
