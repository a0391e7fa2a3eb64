-- hand-back: gives the lease up with the batch still in hand, so that the next drain call takes it up at once.
--
-- KEYS  1 claimed   list, oldest first: the one batch in hand
--       2 lease     string with expiry: token of the drain call that holds the partition
--       3 claim     hash: facts about the batch in hand
-- ARGV  1 token       of this drain call
--       2 sqlstate    of the refusal that made it let go, or ""
--       3 reason      without data of an event, or ""
--       4 oneAtATime  "1": there was no time to find the row at fault; hand envelopes out one at a time from now on
--       5 suspected   "1": the insert broke the connection to Postgres, and an event of the batch may be why
--       6 nowMs       the caller's clock, in milliseconds
-- Returns  1 when the batch is marked as handed back, 0 when another drain call has taken it up since.
--
-- Invariant: envelopes stay in claimed. Only the outcome changes: a batch handed back is not a crash, so `crashes` does
-- not rise, however often and however long the database is away. While the claim bears the caller's token nobody
-- else holds the lease, so deleting it takes nothing from anybody; a full Redis allows no other first write.
--
-- `suspicions` rises if the last suspicion that was counted is SUSPECT_AGAIN_MS away, because one outage breaks the connection under
-- several drain calls. (Away: before or after, because a clock may have been set back.) At NARROW_AFTER_SUSPICIONS suspicions
-- envelopes are handed out one at a time (claim.lua). An envelope that was handed out alone then goes behind the others, and a
-- suspicion that counts is added to its crashes alone. All of it ends with the acknowledgement of the batch. A batch that is handed
-- back already is not suspected a second time.

local claimed, lease, claim = KEYS[1], KEYS[2], KEYS[3]
local token, sqlstate, reason, oneAtATime = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local suspected, nowMs = ARGV[5], ARGV[6]
local NARROW_AFTER_SUSPICIONS = 2
local SUSPECT_AGAIN_MS = 60000

local known = redis.call("HMGET", claim, "token", "name", "outcome", "oneAtATime", "suspectedAtMs")
local owner, name, outcome, wasAlone, suspectedAtMs = known[1], known[2], known[3], known[4] == "1", known[5]
if owner ~= token then return 0 end
redis.call("DEL", lease)
redis.call("HSET", claim, "outcome", "returned", "sqlstate", sqlstate, "reason", reason)
if oneAtATime == "1" then redis.call("HSET", claim, "oneAtATime", "1") end
if suspected ~= "1" or outcome == "returned" or not name then return 1 end

local counts = not suspectedAtMs or math.abs(tonumber(nowMs) - tonumber(suspectedAtMs)) >= SUSPECT_AGAIN_MS
if counts then
  redis.call("HSET", claim, "suspectedAtMs", nowMs)
  if redis.call("HINCRBY", claim, "suspicions", 1) >= NARROW_AFTER_SUSPICIONS then redis.call("HSET", claim, "oneAtATime", "1") end
end
if wasAlone then
  if counts then redis.call("HINCRBY", claim, "crashes:" .. name, 1) end
  redis.call("LMOVE", claimed, claimed, "LEFT", "RIGHT")
  redis.call("HDEL", claim, "name") -- a late acknowledgement of it would pop another envelope
end
return 1
