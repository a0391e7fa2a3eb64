-- versions: counts the versions of the data in a partition's lists, without sending them.
--
-- KEYS  1 pending   list, newest first
--       2 sealed    list, newest first
--       3 claimed   list, oldest first
-- ARGV  1 endMax    envelopes that are read of each end of a long list, at most
--       2 bytesMax  bytes from which no more of an end is read
-- Returns  {waiting, count, v1, n1, v2, n2, ...}   waiting: envelopes in the lists
--                                                  count: those that were read
--                                                  v, n: n of these have version v; a text that is no envelope has none
--
-- Both ends are read, because versions come one after the other: the oldest waits at one end, what was redriven at the other. The first
-- few envelopes of an end say how many more may be read at once: Upstash bills each redis.call of a script. A key of another type counts
-- as an empty list.
--
-- Invariant: it changes nothing.

local endMax = tonumber(ARGV[1])
local bytesMax = tonumber(ARGV[2])
local FIRST = 16

local waiting, count = 0, 0
local found = {}

-- Reads up to `most` envelopes from one end of a list, and returns how many it read.
local function readEnd(list, most, isTail)
  local done, bytes, step = 0, 0, math.min(FIRST, most)
  while step > 0 do
    local first, last = done, done + step - 1
    if isTail then first, last = -last - 1, -first - 1 end
    for _, envelope in ipairs(redis.call("LRANGE", list, first, last)) do
      local v = string.match(envelope, '^{"v":([1-9]%d*),')
      if v and #v <= 9 then found[v] = (found[v] or 0) + 1 end
      bytes = bytes + #envelope
    end
    done = done + step
    local affordable = math.floor((bytesMax - bytes) * done / math.max(bytes, 1))
    step = math.min(affordable, most - done)
  end
  count = count + done
  return done
end

for _, list in ipairs(KEYS) do
  local depth = redis.pcall("LLEN", list)
  if type(depth) == "number" then
    waiting = waiting + depth
    local done = readEnd(list, depth <= 2 * endMax and depth or endMax, true)
    readEnd(list, math.min(endMax, depth - done), false)
  end
end

local reply = {waiting, count}
for v, n in pairs(found) do
  reply[#reply + 1] = v
  reply[#reply + 1] = n
end
return reply
