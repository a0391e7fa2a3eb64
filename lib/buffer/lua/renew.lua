-- renew: extends the lease of a drain call that is still at work on its batch (finding the refused rows takes several statements).
--
-- KEYS  1 lease     string with expiry: token of the drain call that holds the partition
--       2 claim     hash: facts about the batch in hand
-- ARGV  1 token     of this drain call
--       2 leaseMs   milliseconds until the lease expires, from now
-- Returns  1 when the caller holds the partition, 0 when it has to let go.
--
-- Invariant: a lease that expired is taken again only while nobody else has taken the batch up.

local lease, claim = KEYS[1], KEYS[2]
local token, leaseMs = ARGV[1], ARGV[2]

local holder = redis.call("GET", lease)
if holder and holder ~= token then return 0 end
if redis.call("HGET", claim, "token") ~= token then return 0 end
redis.call("DEL", lease) -- a full Redis refuses to SET, unless a script has written already
redis.call("SET", lease, token, "PX", leaseMs)
return 1
