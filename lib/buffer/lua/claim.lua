-- claim: acknowledges the batch that the caller settled, then puts the next batch in its hand.
--
-- KEYS  1 pending   list, newest first: where envelopes are pushed
--       2 sealed    list, newest first: the generation being drained
--       3 claimed   list, oldest first: the one batch in hand
--       4 lease     string with expiry: token of the drain call that holds the partition
--       5 claim     hash: facts about the batch in hand
--       6 paused    string with expiry: exists while the stream is paused (pause.lua)
-- ARGV  1 token            of this drain call, "instance:call"
--       2 settled          name of the batch whose events the caller has all stored or buried, or ""
--       3 leaseMs          milliseconds from now until the lease expires
--       4 count            envelopes wanted; 0: acknowledge, give the lease up, claim nothing
--       5 fullBatchesOnly  "1": claim only if `count` envelopes are there (an eager flush)
--       6 heldSinceMs      when this drain call began  } the caller's clock, in milliseconds,
--       7 nowMs                                        } for people who ask who holds a batch, and how long
--       8 maxBytes         of the envelopes handed out together; one envelope is handed out whatever its size
-- Returns  {"batch", name, fresh, more, crashes, crashesAlone, suspicions, envelope, envelope, …}   envelopes oldest first
--                                fresh: 1 for a new batch, 0 for one that was in hand already
--                                more: 0 if nothing was left in the partition but this batch, 1 if more is or may be there
--                                crashes: drain calls that died with this batch in hand
--                                crashesAlone: -1, or, for an envelope handed out alone, drain calls that died with it
--                                    (or were suspected to break the connection by it, hand-back.lua)
--                                suspicions: as hand-back.lua counted them for this batch
--          {"none", depth}       too little was there (depth -1: not counted); the lease is given up
--          {"held", leaseMs}     another drain call holds the partition
--          {"paused"}            the stream is paused: the acknowledgement was taken, the lease is given up, nothing is handed out
--
-- Invariant: every envelope is in pending, sealed or claimed until the batch that holds it is acknowledged by name,
-- and a name is made of the envelopes handed out. An acknowledgement may therefore come twice, late, from a drain
-- call that lost its lease, or after Redis was restored from an older state: it deletes only what was settled.
--
-- A name is the SHA-1 of each envelope's length and first HEAD bytes. The head holds the id (envelope.ts), and Postgres
-- stores an id once: two batches with one name hold the same events. Text that is not an envelope did not come from
-- ingest, so no client was promised anything. Hashing whole envelopes took Redis three times as long with 10 KB events.
--
-- A batch is bounded in envelopes and in bytes, whatever was configured when they were pushed. What is too much goes back
-- to the head of sealed, where it came from: it comes next, in its order, and before anything newer. A new batch keeps the
-- newest, as if LPOP had been asked for fewer. A batch in hand keeps its oldest: those may be of an older generation.
--
-- The pause is read by the command that reads the lease, so it costs none of its own. It comes after the acknowledgement and before
-- everything that hands envelopes out: a batch that was in hand already stays there until the pause is over.
--
-- `crashes` rises only when another instance takes up a batch that was neither acknowledged nor handed back, because
-- then its drain call died. After NARROW_AFTER crashes, or if a caller had no time to find the row at fault or suspected the
-- batch twice (hand-back.lua), envelopes are handed out one at a time. An envelope whose drain call died goes behind the
-- others. The caller buries an envelope with which too many drain calls died alone.

local pending, sealed, claimed, lease, claim, paused = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local token, settled, leaseMs = ARGV[1], ARGV[2], ARGV[3]
local count, fullBatchesOnly, heldSinceMs, nowMs = tonumber(ARGV[4]), ARGV[5] == "1", ARGV[6], ARGV[7]
local maxBytes = tonumber(ARGV[8])
local NARROW_AFTER = 3
local HEAD = 128
local PUSHED_AT_ONCE = 1000 -- Lua's stack takes some 8,000 arguments

local function nameOf(envelopes)
  local heads = {}
  for i, envelope in ipairs(envelopes) do heads[i] = #envelope .. ":" .. string.sub(envelope, 1, HEAD) end
  return redis.sha1hex(table.concat(heads, "\n"))
end

-- How many envelopes of the list, from its first on, fit into a batch that holds `held` of `bytes` bytes already; and its
-- bytes then. The first of a batch always fits.
local function fitting(list, held, bytes)
  for i, envelope in ipairs(list) do
    local isTooMuch = held + i > count or bytes + #envelope > maxBytes
    if isTooMuch and held + i > 1 then return i - 1, bytes end
    bytes = bytes + #envelope
  end
  return #list, bytes
end

-- Puts envelopes back onto the head of sealed, so that they come next.
local function giveBack(oldestFirst)
  for i = 1, #oldestFirst, PUSHED_AT_ONCE do
    redis.call("LPUSH", sealed, unpack(oldestFirst, i, math.min(i + PUSHED_AT_ONCE - 1, #oldestFirst)))
  end
end

if settled == "" and redis.call("EXISTS", pending, sealed, claimed) == 0 then
  if redis.call("GET", lease) == token then redis.call("DEL", lease) end
  return {"none", 0}
end

local known = redis.call("HMGET", claim, "name", "token", "outcome", "crashes", "oneAtATime", "suspicions")
local name, owner, outcome = known[1], known[2], known[3]
local crashes, oneAtATime, suspicions = tonumber(known[4] or "0"), known[5] == "1", tonumber(known[6] or "0")
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
    crashes, oneAtATime, suspicions, inHand = 0, false, 0, false
  end
  name = false
end

-- The lease: a partition that another drain call holds is left in peace; and the pause.
local read = redis.call("MGET", lease, paused)
local holder, isPaused = read[1], read[2]
if isPaused then
  if holder == token then redis.call("DEL", lease) end
  return {"paused"}
end
if holder and holder ~= token then return {"held", redis.call("PTTL", lease)} end

local function none(depth)
  if holder then redis.call("DEL", lease) end
  return {"none", depth}
end

local function hand(envelopes, crashesAlone, isFresh, hasMore)
  local handedName = nameOf(envelopes)
  redis.call("SET", lease, token, "PX", leaseMs)
  redis.call("HSET", claim, "name", handedName, "token", token, "outcome", "", "crashes", crashes,
    "heldSinceMs", heldSinceMs, unpack(isFresh and {"firstMs", nowMs} or {}))
  return {"batch", handedName, isFresh and 1 or 0, hasMore and 1 or 0, crashes, crashesAlone, suspicions, unpack(envelopes)}
end

-- The envelopes in claimed, and whether some were given back because they are more than a batch may hold. An
-- acknowledgement deletes all of claimed, so claimed keeps what is handed out and nothing else.
local function wholeBatch()
  local envelopes, surplus = redis.call("LRANGE", claimed, 0, -1), {}
  local kept = fitting(envelopes, 0, 0)
  if kept == #envelopes then return envelopes, false end
  for i = kept + 1, #envelopes do surplus[i - kept], envelopes[i] = envelopes[i], nil end
  giveBack(surplus)
  redis.call("LTRIM", claimed, 0, kept - 1)
  return envelopes, true
end

if count == 0 then return none(-1) end

-- Recover: the batch in hand comes first, and comes back as it was, unless it is larger than a batch may be.
if inHand and redis.call("EXISTS", claimed) == 1 then
  redis.call("DEL", lease) -- a full Redis refuses to SET, unless a script has written already; this makes room, too
  local crashed = name and outcome ~= "returned" and instance(owner) ~= instance(token)
  if crashed then crashes = crashes + 1 end
  if crashed and oneAtATime then
    redis.call("HINCRBY", claim, "crashes:" .. name, 1)
    redis.call("RPUSH", claimed, redis.call("LPOP", claimed))
  end
  if crashes < NARROW_AFTER and not oneAtATime then return hand((wholeBatch()), -1, false, true) end
  redis.call("HSET", claim, "oneAtATime", "1")
  local first = redis.call("LRANGE", claimed, 0, 0)
  local crashesAlone = redis.call("HGET", claim, "crashes:" .. nameOf(first))
  return hand(first, tonumber(crashesAlone or "0"), false, true)
end
if inHand then redis.call("DEL", claim) end -- somebody emptied claimed by hand: the claim describes no batch
crashes, suspicions = 0, 0

-- Too little for a full batch: everything stays where it is.
local sealedDepth, pendingDepth -- nil: not looked yet
if fullBatchesOnly then
  sealedDepth = redis.call("LLEN", sealed)
  if sealedDepth < count then
    pendingDepth = redis.call("LLEN", pending)
    if sealedDepth + pendingDepth < count then return none(sealedDepth + pendingDepth) end
  end
end

-- Take from the sealed generation; when that runs short, seal pending and top up from it. A key of another type fails
-- here, after envelopes were popped: pcall, because a script that fails is not undone.
local envelopes, bytes, isFull, failure = {}, 0, false, nil
local function take(wanted)
  local popped, surplus, kept = redis.pcall("LPOP", sealed, wanted) or {}, {}, 0
  failure = popped.err and popped
  if failure then return end
  kept, bytes = fitting(popped, #envelopes, bytes)
  for i = kept, 1, -1 do envelopes[#envelopes + 1] = popped[i] end
  for i = #popped, kept + 1, -1 do surplus[#surplus + 1] = popped[i] end
  giveBack(surplus)
  isFull = #surplus > 0 or #envelopes >= count
end
if sealedDepth ~= 0 then take(count) end
if not isFull and not failure and redis.pcall("RENAME", pending, sealed).ok then -- fails if nothing is pending
  take(count - #envelopes) -- sealed was empty by then: nothing was overwritten
end
if failure and #envelopes == 0 then return failure end -- else the next claim meets it

local depth = #envelopes > 0 and redis.pcall("RPUSH", claimed, unpack(envelopes)) or 0
if type(depth) == "table" then
  giveBack(envelopes)
  return depth
end
local hasMore = isFull or failure
-- More in claimed than was taken: envelopes whose claim somebody deleted by hand. They join this batch.
if #envelopes == 0 or depth > #envelopes then
  local wereTooMany
  envelopes, wereTooMany = wholeBatch()
  hasMore = hasMore or wereTooMany
end
if #envelopes == 0 then return none(0) end
return hand(envelopes, -1, true, hasMore)
