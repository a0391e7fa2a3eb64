-- claim: acknowledges the batch that the caller stored, then puts the next batch in its hand.
--
-- KEYS  1 pending   list, newest first: where events are pushed
--       2 sealed    list, newest first: the generation being drained
--       3 claimed   list, oldest first: the one batch in hand
--       4 lease     string with expiry: token of the drain call that holds the partition
--       5 claim     hash: what is known of the batch in hand
-- ARGV  1 token     of this drain call, "instance:call"
--       2 acked     name of the batch that the caller has stored, or ""
--       3 leaseMs   milliseconds from now until the lease expires
--       4 count     rows wanted; 0: acknowledge, give the lease up, claim nothing
--       5 full      "1": claim only where `count` rows are there (an eager flush)
--       6 heldMs    when this drain call began  } the caller's clock, in milliseconds,
--       7 nowMs                                 } for people who ask what is held and how long
-- Returns  {"batch", name, fresh, attempts, deaths, row, row, …}   rows oldest first
--                                fresh: 1 for a new batch, 0 for one that was in hand already
--                                deaths: -1, or, for a row handed out alone, how many drain calls died with it
--          {"none", depth}       too little was there (depth -1: not counted); the lease is given up
--          {"held", leaseMs}     another drain call holds the partition
--
-- Invariant: every row is in pending, sealed or claimed until the batch that holds it is acknowledged by name,
-- and a name is made of the rows handed out. So an acknowledgement that comes twice, late, from a drain
-- call that lost its lease, or after Redis was restored from an older state deletes only what was stored.
--
-- A name is the SHA-1 of each row's length and first HEAD bytes. An envelope's head is among them (envelope.ts), and its
-- id is what Postgres stores once: two batches of envelopes that bear one name hold the same events. (What is no envelope
-- was never acknowledged to anyone.) Over whole rows it took Redis three times as long with 10 KB events.
--
-- Attempts rise only when another instance takes up a batch that was neither acknowledged nor handed back:
-- its drain call died. From ALONE_AFTER on, or once a caller found no time to bisect it (hand-back.lua), rows are
-- handed out one at a time, and a row whose drain call died goes behind the others; the caller buries a row that
-- died alone too often.

local pending, sealed, claimed, lease, claim = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local token, acked, leaseMs = ARGV[1], ARGV[2], ARGV[3]
local count, full, heldMs, nowMs = tonumber(ARGV[4]), ARGV[5] == "1", ARGV[6], ARGV[7]
local ALONE_AFTER = 3
local HEAD = 128

local function nameOf(rows)
  local heads = {}
  for i, row in ipairs(rows) do heads[i] = #row .. ":" .. string.sub(row, 1, HEAD) end
  return redis.sha1hex(table.concat(heads, "\n"))
end

if acked == "" and redis.call("EXISTS", pending, sealed, claimed) == 0 then
  if redis.call("GET", lease) == token then redis.call("DEL", lease) end
  return {"none", 0}
end

local known = redis.call("HMGET", claim, "name", "token", "outcome", "attempts", "alone")
local name, owner, outcome = known[1], known[2], known[3]
local attempts, alone = tonumber(known[4] or "0"), known[5] == "1"
local inHand = name or alone -- whether claimed holds rows, as far as the claim knows

local function instance(of) return string.match(of or "", "^[^:]*") end

local function forgetDeaths()
  for _, field in ipairs(redis.call("HKEYS", claim)) do
    if string.sub(field, 1, 7) == "deaths:" then redis.call("HDEL", claim, field) end
  end
end

-- Acknowledge: the batch in hand and no other, by its name.
if name and name == acked then
  if alone and redis.call("LLEN", claimed) > 1 then
    redis.call("LPOP", claimed)
    -- Drain calls died with this row and yet it was stored: their deaths came from elsewhere.
    if redis.call("HEXISTS", claim, "deaths:" .. name) == 1 then forgetDeaths() end
    redis.call("HDEL", claim, "name")
    inHand = true
  else
    redis.call("DEL", claimed, claim)
    attempts, alone, inHand = 0, false, false
  end
  name = false
end

-- The lease: a partition that another drain call holds is left in peace.
local holder = redis.call("GET", lease)
if holder and holder ~= token then return {"held", redis.call("PTTL", lease)} end

local function none(depth)
  if holder then redis.call("DEL", lease) end
  return {"none", depth}
end

local function hand(rows, deaths, isFresh)
  local rowsName = nameOf(rows)
  redis.call("SET", lease, token, "PX", leaseMs)
  redis.call("HSET", claim, "name", rowsName, "token", token, "outcome", "", "attempts", attempts,
    "heldMs", heldMs, unpack(isFresh and {"firstMs", nowMs} or {}))
  return {"batch", rowsName, isFresh and 1 or 0, attempts, deaths, unpack(rows)}
end

if count == 0 then return none(-1) end

-- Recover: what is in hand comes first, and comes back as it was.
if inHand and redis.call("EXISTS", claimed) == 1 then
  redis.call("DEL", lease) -- a full Redis refuses to SET, unless a script has written already; this makes room, too
  local died = name and outcome ~= "returned" and instance(owner) ~= instance(token)
  if died then attempts = attempts + 1 end
  if died and alone then
    redis.call("HINCRBY", claim, "deaths:" .. name, 1)
    redis.call("RPUSH", claimed, redis.call("LPOP", claimed))
  end
  if attempts < ALONE_AFTER and not alone then return hand(redis.call("LRANGE", claimed, 0, -1), -1) end
  redis.call("HSET", claim, "alone", "1")
  local first = redis.call("LRANGE", claimed, 0, 0)
  local deaths = redis.call("HGET", claim, "deaths:" .. nameOf(first))
  return hand(first, tonumber(deaths or "0"))
end
if inHand then redis.call("DEL", claim) end -- somebody emptied claimed by hand: what is known is of no batch
attempts = 0

-- Too little for a full batch: everything stays where it is.
local sealedDepth, pendingDepth -- nil: not looked yet
if full then
  sealedDepth = redis.call("LLEN", sealed)
  if sealedDepth < count then
    pendingDepth = redis.call("LLEN", pending)
    if sealedDepth + pendingDepth < count then return none(sealedDepth + pendingDepth) end
  end
end

-- Take from the sealed generation; when that runs short, seal what is pending and top up from it.
local rows = {}
local function take(wanted)
  local popped = redis.call("LPOP", sealed, wanted) or {}
  for i = #popped, 1, -1 do rows[#rows + 1] = popped[i] end
end
if sealedDepth ~= 0 then take(count) end
if #rows < count and redis.pcall("RENAME", pending, sealed).ok then -- fails where nothing is pending
  take(count - #rows) -- sealed was empty by then: nothing was overwritten
end
-- More in claimed than was taken: rows whose claim somebody deleted by hand. They are of this batch, then.
if #rows == 0 or redis.call("RPUSH", claimed, unpack(rows)) > #rows then
  rows = redis.call("LRANGE", claimed, 0, -1)
end
if #rows == 0 then return none(0) end
return hand(rows, -1, true)
