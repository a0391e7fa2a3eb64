-- pause: pauses a stream, or replaces its pause.
--
-- KEYS  1 paused  string with expiry: since when, in milliseconds, a space, and what the caller says about it
-- ARGV  1 nowMs   the caller's clock, in milliseconds
--       2 about   who and why, as the caller writes it
--       3 forMs   milliseconds from now until the pause ends, by Redis's own clock
-- Returns  {value, before, leftMs}  the value that was written; the one that was there, or ""; how long it had left
--
-- Invariant: a pause always has an end. One that replaces another begins when that one began, so `since` says how long the stream has
-- not been drained.

local paused = KEYS[1]
local nowMs, about, forMs = ARGV[1], ARGV[2], ARGV[3]

local before = redis.call("MGET", paused)[1] or "" -- a key of another type is not a pause, and is replaced
local leftMs = redis.call("PTTL", paused)
local value = (string.match(before, "^(%d+) ") or nowMs) .. " " .. about
redis.call("DEL", paused) -- a full Redis refuses to SET, unless a script has written already
redis.call("SET", paused, value, "PX", forMs)
return {value, before, leftMs}
