-- look: says what waits in all streams, how old it is, which partitions are held and which streams are paused, without sending events.
--
-- KEYS  for each stream in turn, its pending lists, its sealed lists, its claimed lists; then all leases, then all claims, stream
--       by stream; then the pause of each stream
-- ARGV  1 partitions   of each stream: lists of one kind that it has
-- Returns  {calls, lists, oldest, held, pauses}   calls: redis.calls that this took, which Upstash bills
--                                         lists: {place, depth, …} of those that exist; place: in KEYS, from 0
--                                         oldest: {partition, receivedAt, …}: of each partition that holds something
--                                         held: {partition, heldSinceMs, …}: of each that a drain call holds with a batch
--                                         pauses: {stream, value, leftMs, …}: of each stream that is paused (pause.lua)
--                                         partition, stream: counted through all streams, from 0
--
-- Upstash bills each redis.call of a script. So lists that don't exist are not asked one by one: a range is halved, and the
-- other half's count follows from the first one's. The oldest envelope is read of one list of each partition: claimed holds older
-- ones than sealed, as a rule, and sealed older ones than pending. A key of another type counts as an empty list. One command reads the
-- leases of batches in hand and the pauses.
--
-- Invariant: it changes nothing.

local partitions = tonumber(ARGV[1])
local perStream = 3 * partitions
local streamCount = #KEYS / (5 * partitions + 1)
local listCount = streamCount * perStream
local leasesFrom = listCount
local claimsFrom = leasesFrom + streamCount * partitions
local pausesFrom = claimsFrom + streamCount * partitions
local HEAD = 128 -- an envelope's head holds receivedAt (envelope.ts)

local calls = 0
local function ask(...)
  calls = calls + 1
  return redis.pcall(...)
end

local depths, lists = {}, {}
local function readDepth(place)
  local depth = ask("LLEN", KEYS[place + 1])
  if type(depth) ~= "number" then depth = 0 end
  depths[place] = depth
  lists[#lists + 1], lists[#lists + 2] = place, depth
end

local function exists(first, last) return ask("EXISTS", unpack(KEYS, first + 1, last + 1)) end

-- Reads the depths of the lists that exist between two places; `count` of them do.
local function readRange(first, last, count)
  if count == 0 then return end
  if count == last - first + 1 then
    for place = first, last do readDepth(place) end
    return
  end
  local middle = math.floor((first + last) / 2)
  local left = exists(first, middle)
  readRange(first, middle, left)
  readRange(middle + 1, last, count - left)
end

readRange(0, listCount - 1, exists(0, listCount - 1))

local function placeOf(partition, kind)
  return math.floor(partition / partitions) * perStream + kind * partitions + partition % partitions
end

local function isFilled(place) return (depths[place] or 0) > 0 end

local oldest, claimedOf = {}, {}
for partition = 0, listCount / 3 - 1 do
  local pending, sealed, claimed = placeOf(partition, 0), placeOf(partition, 1), placeOf(partition, 2)
  local list, at
  if isFilled(claimed) then
    list, at = claimed, 0
    claimedOf[#claimedOf + 1] = partition
  elseif isFilled(sealed) then list, at = sealed, -1
  elseif isFilled(pending) then list, at = pending, -1
  end
  if list then
    local envelope = ask("LINDEX", KEYS[list + 1], at)
    local head = type(envelope) == "string" and string.sub(envelope, 1, HEAD) or ""
    oldest[#oldest + 1], oldest[#oldest + 2] = partition, string.match(head, '"receivedAt":"([^"]*)"') or ""
  end
end

local strings = {}
for i, partition in ipairs(claimedOf) do strings[i] = KEYS[leasesFrom + partition + 1] end
for stream = 1, streamCount do strings[#strings + 1] = KEYS[pausesFrom + stream] end
local values = ask("MGET", unpack(strings))

local held = {}
for i, partition in ipairs(claimedOf) do
  if values[i] then
    local since = ask("HGET", KEYS[claimsFrom + partition + 1], "heldSinceMs")
    held[#held + 1], held[#held + 2] = partition, type(since) == "string" and since or ""
  end
end

local pauses = {}
for stream = 0, streamCount - 1 do
  local value = values[#claimedOf + stream + 1]
  local leftMs = value and ask("PTTL", KEYS[pausesFrom + stream + 1])
  if value then
    pauses[#pauses + 1], pauses[#pauses + 2], pauses[#pauses + 3] = stream, value, leftMs
  end
end

return {calls, lists, oldest, held, pauses}
