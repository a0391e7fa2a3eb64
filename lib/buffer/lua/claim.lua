-- claim: acknowledges the batch that the caller settled, then puts the next batch in its hand.
--
-- KEYS  1 pending   list, newest first: where envelopes are pushed
--       2 sealed    list, newest first: the generation being drained
--       3 claimed   list, oldest first: the one batch in hand
--       4 lease     string with expiry: token of the drain call that holds the partition
--       5 claim     hash: facts about the batch in hand
-- ARGV  1 token            of this drain call, "instance:call"
--       2 settled          name of the batch whose events the caller has all stored or buried, or ""
--       3 leaseMs          milliseconds from now until the lease expires
--       4 count            envelopes wanted; 0: acknowledge, give the lease up, claim nothing
--       5 fullBatchesOnly  "1": claim only if `count` envelopes are there (an eager flush)
--       6 heldSinceMs      when this drain call began  } the caller's clock, in milliseconds,
--       7 nowMs                                        } for people who ask who holds a batch, and how long
-- Returns  {"batch", name, fresh, crashes, crashesAlone, envelope, envelope, …}   envelopes oldest first
--                                fresh: 1 for a new batch, 0 for one that was in hand already
--                                crashes: drain calls that died with this batch in hand
--                                crashesAlone: -1, or, for an envelope handed out alone, drain calls that died with it
--          {"none", depth}       too little was there (depth -1: not counted); the lease is given up
--          {"held", leaseMs}     another drain call holds the partition
--
-- Invariant: every envelope is in pending, sealed or claimed until the batch that holds it is acknowledged by name,
-- and a name is made of the envelopes handed out. An acknowledgement may therefore come twice, late, from a drain
-- call that lost its lease, or after Redis was restored from an older state: it deletes only what was settled.
--
-- A name is the SHA-1 of each envelope's length and first HEAD bytes. The head holds the id (envelope.ts), and Postgres
-- stores an id once: two batches with one name hold the same events. Text that is not an envelope did not come from
-- ingest, so no client was promised anything. Hashing whole envelopes took Redis three times as long with 10 KB events.
--
-- `crashes` rises only when another instance takes up a batch that was neither acknowledged nor handed back, because
-- then its drain call died. After NARROW_AFTER crashes, or after a caller found no time to find the row at fault (hand-back.lua),
-- envelopes are handed out one at a time. An envelope whose drain call died goes behind the others. The caller buries
-- an envelope with which too many drain calls died alone.

local pending, sealed, claimed, lease, claim = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local token, settled, leaseMs = ARGV[1], ARGV[2], ARGV[3]
local count, fullBatchesOnly, heldSinceMs, nowMs = tonumber(ARGV[4]), ARGV[5] == "1", ARGV[6], ARGV[7]
local NARROW_AFTER = 3
local HEAD = 128

local function nameOf(envelopes)
  local heads = {}
  for i, envelope in ipairs(envelopes) do heads[i] = #envelope .. ":" .. string.sub(envelope, 1, HEAD) end
  return redis.sha1hex(table.concat(heads, "\n"))
end

if settled == "" and redis.call("EXISTS", pending, sealed, claimed) == 0 then
  if redis.call("GET", lease) == token then redis.call("DEL", lease) end
  return {"none", 0}
end

local known = redis.call("HMGET", claim, "name", "token", "outcome", "crashes", "oneAtATime")
local name, owner, outcome = known[1], known[2], known[3]
local crashes, oneAtATime = tonumber(known[4] or "0"), known[5] == "1"
local inHand = name or oneAtATime -- whether claimed holds envelopes, as far as the claim knows

local function instance(of) return string.match(of or "", "^[^:]*") end

local function forgetCrashesAlone()
  for _, field in ipairs(redis.call("HKEYS", claim)) do
    if string.sub(field, 1, 8) == "crashes:" then redis.call("HDEL", claim, field) end
  end
end

-- Acknowledge: the batch in hand and no other, by its name.
if name and name == settled then
  if oneAtATime and redis.call("LLEN", claimed) > 1 then
    redis.call("LPOP", claimed)
    -- Drain calls died with this envelope and yet it was settled: the crashes had another cause.
    if redis.call("HEXISTS", claim, "crashes:" .. name) == 1 then forgetCrashesAlone() end
    redis.call("HDEL", claim, "name")
    inHand = true
  else
    redis.call("DEL", claimed, claim)
    crashes, oneAtATime, inHand = 0, false, false
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

local function hand(envelopes, crashesAlone, isFresh)
  local handedName = nameOf(envelopes)
  redis.call("SET", lease, token, "PX", leaseMs)
  redis.call("HSET", claim, "name", handedName, "token", token, "outcome", "", "crashes", crashes,
    "heldSinceMs", heldSinceMs, unpack(isFresh and {"firstMs", nowMs} or {}))
  return {"batch", handedName, isFresh and 1 or 0, crashes, crashesAlone, unpack(envelopes)}
end

if count == 0 then return none(-1) end

-- Recover: the batch in hand comes first, and comes back as it was.
if inHand and redis.call("EXISTS", claimed) == 1 then
  redis.call("DEL", lease) -- a full Redis refuses to SET, unless a script has written already; this makes room, too
  local crashed = name and outcome ~= "returned" and instance(owner) ~= instance(token)
  if crashed then crashes = crashes + 1 end
  if crashed and oneAtATime then
    redis.call("HINCRBY", claim, "crashes:" .. name, 1)
    redis.call("RPUSH", claimed, redis.call("LPOP", claimed))
  end
  if crashes < NARROW_AFTER and not oneAtATime then return hand(redis.call("LRANGE", claimed, 0, -1), -1) end
  redis.call("HSET", claim, "oneAtATime", "1")
  local first = redis.call("LRANGE", claimed, 0, 0)
  local crashesAlone = redis.call("HGET", claim, "crashes:" .. nameOf(first))
  return hand(first, tonumber(crashesAlone or "0"))
end
if inHand then redis.call("DEL", claim) end -- somebody emptied claimed by hand: the claim describes no batch
crashes = 0

-- Too little for a full batch: everything stays where it is.
local sealedDepth, pendingDepth -- nil: not looked yet
if fullBatchesOnly then
  sealedDepth = redis.call("LLEN", sealed)
  if sealedDepth < count then
    pendingDepth = redis.call("LLEN", pending)
    if sealedDepth + pendingDepth < count then return none(sealedDepth + pendingDepth) end
  end
end

-- Take from the sealed generation; when that runs short, seal pending and top up from it.
local envelopes = {}
local function take(wanted)
  local popped = redis.call("LPOP", sealed, wanted) or {}
  for i = #popped, 1, -1 do envelopes[#envelopes + 1] = popped[i] end
end
if sealedDepth ~= 0 then take(count) end
if #envelopes < count and redis.pcall("RENAME", pending, sealed).ok then -- fails if nothing is pending
  take(count - #envelopes) -- sealed was empty by then: nothing was overwritten
end
-- More in claimed than was taken: envelopes whose claim somebody deleted by hand. They join this batch.
if #envelopes == 0 or redis.call("RPUSH", claimed, unpack(envelopes)) > #envelopes then
  envelopes = redis.call("LRANGE", claimed, 0, -1)
end
if #envelopes == 0 then return none(0) end
return hand(envelopes, -1, true)
