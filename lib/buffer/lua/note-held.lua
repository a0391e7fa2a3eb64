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

-- Somebody may have written another type, or nonsense: the note is ours, so it is made anew.
local isOurs = redis.call("TYPE", held).ok == "hash"
local known = isOurs and tonumber(redis.call("HGET", held, "dueAtMs") or "")
if known and known < tonumber(dueAtMs) then dueAtMs = known end
-- A full Redis refuses to HSET, unless a script has written already.
if isOurs then redis.call("HDEL", held, "name") else redis.call("DEL", held) end
redis.call("HSET", held, "dueAtMs", dueAtMs, "name", name)
return 1
