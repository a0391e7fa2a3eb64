-- replace-keys: replaces the copy of the keys, unless somebody else has since the caller looked.
--
-- KEYS  1 keys        hash: `generation`, and by the SHA-256 of each key in hex what ingest knows of it
-- ARGV  1 seen        the generation that the caller saw before it read Postgres; "": there was none
--       2 generation  of the new copy
--       3 …           in turn a SHA-256 and the text that belongs to it
-- Returns  the generation after it: the new one if it was written, another's if somebody was faster
--
-- Invariant: the copy is replaced whole, and never by what was read from Postgres before the copy that is there was written.

local keys = KEYS[1]
local seen, generation = ARGV[1], ARGV[2]
-- Lua can hand over some thousands of values at once.
local CHUNK = 4000

-- Somebody may have written another type: the key is ours, so it is made anew.
local isOurs = redis.call("TYPE", keys).ok == "hash"
local found = isOurs and redis.call("HGET", keys, "generation") or ""
if found ~= seen then return found end
-- A full Redis refuses to HSET, unless a script has written already.
redis.call("DEL", keys)
redis.call("HSET", keys, "generation", generation)
for first = 3, #ARGV, CHUNK do
  redis.call("HSET", keys, unpack(ARGV, first, math.min(first + CHUNK - 1, #ARGV)))
end
return generation
