-- settle-held: says when the next held letter is due, or that there is none, once Postgres was asked.
--
-- KEYS  1 held      hash: dueAtMs, name, release
-- ARGV  1 name      as it was read before Postgres was asked
--       2 dueAtMs   of the letter that is due next, in milliseconds; "": no letter is held
--       3 newName   a new one with every call
--       4 release   of the caller, which has tried the letters that were due
-- Returns  1 when it was noted, 0 when somebody has noted a held letter since: nothing changes then.
--
-- Invariant: a letter that was held after Postgres was asked is not forgotten, because the note then has another name.

local held = KEYS[1]
local name, dueAtMs, newName, release = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

if redis.call("HGET", held, "name") ~= name then return 0 end
redis.call("DEL", held)
if dueAtMs ~= "" then redis.call("HSET", held, "dueAtMs", dueAtMs, "name", newName, "release", release) end
return 1
