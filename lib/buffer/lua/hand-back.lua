-- hand-back: gives the lease up with the batch still in hand, so that the next drain call takes it up at once.
--
-- KEYS  1 lease     string with expiry: token of the drain call that holds the partition
--       2 claim     hash: facts about the batch in hand
-- ARGV  1 token       of this drain call
--       2 sqlstate    of the refusal that made it let go, or ""
--       3 reason      without data of an event, or ""
--       4 oneAtATime  "1": there was no time to find the row at fault; hand envelopes out one at a time from now on
-- Returns  1 when the batch is marked as handed back, 0 when another drain call has taken it up since.
--
-- Invariant: envelopes stay in claimed. Only the outcome changes: a batch handed back is not a crash, so `crashes` does
-- not rise, however often and however long the database is away. While the claim bears the caller's token nobody
-- else holds the lease, so deleting it takes nothing from anybody; a full Redis allows no other first write.

local lease, claim = KEYS[1], KEYS[2]
local token, sqlstate, reason, oneAtATime = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

if redis.call("HGET", claim, "token") ~= token then return 0 end
redis.call("DEL", lease)
redis.call("HSET", claim, "outcome", "returned", "sqlstate", sqlstate, "reason", reason)
if oneAtATime == "1" then redis.call("HSET", claim, "oneAtATime", "1") end
return 1
