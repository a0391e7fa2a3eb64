-- measure: says how much waits in pending, without sending it.
--
-- KEYS  1 pending   list, newest first: where envelopes are pushed
-- ARGV  1 runLength envelopes of each of the three runs that are read if there are more than three runs
-- Returns  {depth, count, bytes}   depth: envelopes in the list
--                                  count: envelopes that were read; bytes: of these together
--
-- Runs at the newest end, in the middle and at the oldest end are read: neighbours came from one sender, as a rule, and are
-- like one another. Upstash bills each redis.call of a script, so a run is one LRANGE.
--
-- Invariant: it changes nothing.

local pending = KEYS[1]
local runLength = tonumber(ARGV[1])

local depth = redis.call("LLEN", pending)
local count, bytes = 0, 0

local function read(first, last)
  for _, envelope in ipairs(redis.call("LRANGE", pending, first, last)) do
    count, bytes = count + 1, bytes + #envelope
  end
end

if depth <= 3 * runLength then
  if depth > 0 then read(0, -1) end
else
  local middle = math.floor((depth - runLength) / 2)
  for _, first in ipairs({0, middle, depth - runLength}) do read(first, first + runLength - 1) end
end
return {depth, count, bytes}
