-- note-held: says that `dead_letters` has held letters, and when the next of them is due.
--
-- KEYS  1 held      hash: dueAtMs, name, release
-- ARGV  1 dueAtMs   when the letter that is held now is due, in milliseconds
--       2 name      a new one with every call
-- Returns  1
--
-- Invariant: the due time comes nearer here, and recedes only in settle-held.lua, whose caller has asked Postgres. The name is
-- new with every call, so that a caller of settle-held.lua who asked Postgres before this call changes nothing.

local held = KEYS[1]
local dueAtMs, name = ARGV[1], ARGV[2]

local known = redis.call("HGET", held, "dueAtMs")
if known and tonumber(known) < tonumber(dueAtMs) then dueAtMs = known end
redis.call("HDEL", held, "name") -- a full Redis refuses to HSET, unless a script has written already
redis.call("HSET", held, "dueAtMs", dueAtMs, "name", name)
return 1
