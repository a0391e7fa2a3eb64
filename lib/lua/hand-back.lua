-- hand-back: gives the lease up with the batch still in hand, so that the next drain call takes it up at once.
--
-- KEYS  1 lease     string with expiry: token of the drain call that holds the partition
--       2 claim     hash: what is known of the batch in hand
-- ARGV  1 token     of this drain call
--       2 sqlstate  of the refusal that made it let go, or ""
--       3 reason    without data of an event, or ""
-- Returns  1 when the batch is marked as handed back, 0 when another drain call has taken it up since.
--
-- Invariant: rows stay in claimed. Only the outcome changes: a batch handed back is no death, so attempts do
-- not rise, however often and however long the database is away.

local lease, claim = KEYS[1], KEYS[2]
local token, sqlstate, reason = ARGV[1], ARGV[2], ARGV[3]

if redis.call("HGET", claim, "token") ~= token then return 0 end
redis.call("HSET", claim, "outcome", "returned", "sqlstate", sqlstate, "reason", reason)
if redis.call("GET", lease) == token then redis.call("DEL", lease) end
return 1
