-- share-limits: gives an instance its shares of the rates of several API keys, by Redis's clock.
--
-- KEYS  1…n  limit          string, PX: what is known of one key's rate
-- ARGV  1    instance       names the living process that asks; without spaces
--       then seven for each key:
--            perSecond      the key's rate over all instances, in events a second
--            used           events that this instance let through since it asked last
--            demand         events a second that were wanted of it; "": not known yet
--            tokens         events that it may still let through by its share; below 0: a debt
--            wanted         events of the largest request that waits for this reply; 0: none
--            waiting        events of all that wait
--            size           events of its usual request
-- Returns  six for each key, as text:
--            rate           events a second that it may let through from now on
--            tokens         events that it may let through beside that, in place of those that it reported
--            validMs        how long the share lasts, from when it asked
--            askAgainMs     how soon it is worth asking again if it runs short
--            fair           its part of the rate by demand, in events a second: its share while Redis is away
--            waitMs         when the largest request that waited may pass at the earliest, if others take nothing; 0: it may now
--
-- Whoever has a rate gains tokens by it, and keeps those of five seconds at most. The rate that no instance has is the bank's, and so
-- are its tokens. A share of few requests is given as tokens only, which its holder draws from the bank when it needs them.
--
-- Invariant: the rates given and not yet over are never more than the key's rate together, and the tokens in all hands never more than
-- those of five seconds. So no minute lets through more than 65 seconds' worth. A request of more than a second's worth may pass as a
-- debt of the bank, if the last minute's use, all that is given, and the request itself are no more than 65 seconds' worth.
--
-- A second call of the same instance takes the place of its first: its rate is given once. Its tokens may be counted twice if the
-- first reply was lost, but never beyond the invariant. Events that an instance lets through while its call is under way are taken off
-- what it is given, so it may owe a few.

local BURST_SECONDS = 5
local SHARE_MS, DRAWN_MS = 6000, 2000
local DEMAND_COUNTS_MS = 6500
local KEEP_MS = 75000
local SLOT_MS, SLOTS = 5000, 13
local MINUTE_MAX_SECONDS = 65
-- The requests in five seconds from which a share is given as a rate: fewer come too unevenly. If others want all that one leaves,
-- fewer are enough.
local REQUESTS_MIN, REQUESTS_MIN_IF_SCARCE = 6, 2.6
-- The part of the rate that nobody wants that is given all the same, and the most that is given while demand is about the rate.
local HEADROOM, GIVEN_MAX = 0.5, 0.7
-- What an instance draws whose demand is not known yet, in seconds of the rate, and the most that it draws of the bank.
local FIRST_SECONDS, DRAWN_MAX = 0.125, 0.25

local instance = ARGV[1]
local time = redis.call("TIME")
local nowMs = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local slotNow = math.floor(nowMs / SLOT_MS)

-- A limit as text: `v1 BANK AT;SLOT=USED,…;NAME RATE HELD UNTIL ASKED DEMAND COUNTED;…`. Another text counts as none. If Redis's clock
-- was set back, what lies ahead counts as now: else the bank would gain nothing, and use would be remembered, until that time comes.
local function parse(text, perSecond)
  local bank, atMs, slots, holders = string.match(text or "", "^v1 (%S+) ([^ ;]+);([^;]*);(.*)$")
  local limit = { bank = tonumber(bank) or BURST_SECONDS * perSecond, slots = {}, holders = {} }
  limit.atMs = math.min(tonumber(atMs) or nowMs, nowMs)
  for text, used in string.gmatch(slots or "", "(%d+)=([^,]+)") do
    local slot = math.min(tonumber(text), slotNow)
    limit.slots[slot] = (limit.slots[slot] or 0) + tonumber(used)
  end
  for name, numbers in string.gmatch(holders or "", "(%S+) ([^;]+);") do
    local rate, held, untilMs, askedMs, demand, counted = string.match(numbers, "(%S+) (%S+) (%S+) (%S+) (%S+) (%S+)")
    limit.holders[#limit.holders + 1] = {
      name = name, rate = tonumber(rate), held = tonumber(held), demand = tonumber(demand), counted = tonumber(counted),
      -- If Redis's clock was set back, nobody holds a share for longer than it was given.
      untilMs = math.min(tonumber(untilMs), nowMs + SHARE_MS), askedMs = math.min(tonumber(askedMs), nowMs),
    }
  end
  return limit
end

local function format(limit)
  local slots, holders = {}, {}
  for slot, used in pairs(limit.slots) do slots[#slots + 1] = string.format("%d=%.3f", slot, used) end
  for _, one in ipairs(limit.holders) do
    holders[#holders + 1] = string.format(
      "%s %.4f %.3f %d %d %.3f %.3f;", one.name, one.rate, one.held, one.untilMs, one.askedMs, one.demand, one.counted)
  end
  return string.format("v1 %.3f %d;%s;%s", limit.bank, limit.atMs, table.concat(slots, ","), table.concat(holders))
end

local function noteUsed(limit, events, slot)
  slot = slot or slotNow
  if events ~= 0 then limit.slots[slot] = (limit.slots[slot] or 0) + events end
end

-- The events that a holder may let through from when it asked until its share is over, of which nothing is counted yet.
local function uncounted(one) return math.max(0, one.held + one.rate * SHARE_MS / 1000 - one.counted) end

-- Brings a limit to now. The bank gains what no holder gained. Who is over is gone, and counted as if all of it was used.
-- Takes out the holder that asks, and returns it.
local function advance(limit, perSecond)
  local gained = perSecond * (nowMs - limit.atMs)
  local others, asking = {}, nil
  for _, one in ipairs(limit.holders) do
    gained = gained - one.rate * math.max(0, math.min(one.untilMs, nowMs) - math.min(limit.atMs, one.untilMs))
    if one.name == instance then asking = one
    elseif math.max(one.untilMs, one.askedMs + DEMAND_COUNTS_MS) > nowMs then others[#others + 1] = one
    else noteUsed(limit, uncounted(one)) end
  end
  limit.bank, limit.atMs, limit.holders = limit.bank + gained / 1000, nowMs, others
  for slot in pairs(limit.slots) do
    if slot <= slotNow - SLOTS then limit.slots[slot] = nil end
  end
  return asking
end

-- Counts what the holder that asks has used by its last share. What it drew and can't use any more goes back to the bank.
local function settle(limit, before, used)
  local isLess = used < before.counted
  noteUsed(limit, used - before.counted, isLess and math.floor(before.askedMs / SLOT_MS) or slotNow)
  if before.untilMs <= nowMs then limit.bank = limit.bank + math.max(0, before.counted - used) end
end

-- What the others leave: of the rate, and of the tokens of five seconds. And what they want, and may still let through.
local function leftBy(holders, perSecond)
  local left = { rate = perSecond, tokens = BURST_SECONDS * perSecond, wanted = 0, uncounted = 0 }
  for _, one in ipairs(holders) do
    if one.untilMs > nowMs then
      left.rate = left.rate - one.rate
      left.tokens = left.tokens - math.max(one.held, BURST_SECONDS * one.rate)
    end
    left.wanted, left.uncounted = left.wanted + one.demand, left.uncounted + uncounted(one)
  end
  left.rate, left.tokens = math.max(0, left.rate), math.max(0, left.tokens)
  return left
end

-- The asking instance's part of the rate by its demand.
local function fairPart(perSecond, demand, left, others)
  if not demand then return perSecond / (others + 1) end
  local wanted = left.wanted + demand
  if wanted > perSecond then return perSecond * demand / wanted end
  return demand + HEADROOM * (perSecond - wanted) / (others + 1)
end

-- The rate to give. While demand is about the rate, and others may have more use for it than they expect, the bank keeps some.
local function rateFor(perSecond, demand, left, others, fair, size)
  if not demand then return 0 end
  local wanted, rate = left.wanted + demand, math.min(fair, left.rate)
  local kept = GIVEN_MAX * perSecond
  if others > 0 and wanted < 1.1 * perSecond then rate = math.min(rate, fair * kept / math.max(fair, wanted, kept)) end
  local requestsMin = wanted >= 2 * perSecond and REQUESTS_MIN_IF_SCARCE or REQUESTS_MIN
  return BURST_SECONDS * rate >= requestsMin * size and rate or 0
end

-- Whether a large request may pass for which there are too few tokens.
local function mayOwe(limit, perSecond, left, wanted)
  if wanted <= perSecond then return false end
  local used = 0
  for _, events in pairs(limit.slots) do used = used + events end
  return used + left.uncounted + wanted <= MINUTE_MAX_SECONDS * perSecond
end

local function whenToAskAgain(limit, perSecond, left, share, ask, pool)
  local isShort = share.tokens < ask.wanted
  if isShort and (share.rate == 0 or ask.wanted > BURST_SECONDS * share.rate) then
    local gain = math.max(left.rate - share.rate, perSecond / 1000)
    return math.max(200, math.min(2000, (ask.wanted - pool) / gain * 1000))
  end
  if share.rate == 0 then
    local worthwhile = ask.demand and 1 or FIRST_SECONDS * perSecond
    return (limit.bank >= worthwhile or share.tokens < ask.waiting) and 0 or 200
  end
  return (limit.bank >= 1 or share.rate < 0.8 * share.fair) and 1000 or 5000
end

-- When a request may pass for which the share is too small: by tokens, or as a debt once enough of the last minute's use is forgotten.
local function waitMs(limit, perSecond, left, share, ask, pool)
  if share.tokens >= ask.wanted then return 0 end
  local gain = math.max(left.rate, perSecond / 1000)
  if ask.wanted <= BURST_SECONDS * perSecond then return (ask.wanted - pool) / gain * 1000 end
  local slots, tooMuch = {}, left.uncounted + ask.wanted - MINUTE_MAX_SECONDS * perSecond
  for slot, events in pairs(limit.slots) do
    slots[#slots + 1] = slot
    tooMuch = tooMuch + events
  end
  table.sort(slots)
  local untilMs = nowMs
  for _, slot in ipairs(slots) do
    if tooMuch <= 0 then break end
    tooMuch, untilMs = tooMuch - limit.slots[slot], (slot + SLOTS) * SLOT_MS
  end
  return math.max(untilMs - nowMs, (1 - pool) / gain * 1000)
end

local function give(limit, perSecond, ask)
  local before = advance(limit, perSecond)
  if before then settle(limit, before, ask.used) end
  local others, left = #limit.holders, leftBy(limit.holders, perSecond)
  local pool = math.min(limit.bank + ask.tokens, left.tokens)
  local fair = fairPart(perSecond, ask.demand, left, others)
  local share = { fair = fair, rate = pool < 0 and 0 or rateFor(perSecond, ask.demand, left, others, fair, ask.size) }

  -- Some request may use tokens that it has while this call is under way.
  local wish = math.max(BURST_SECONDS * share.rate, math.min(ask.tokens, ask.size))
  if not ask.demand then wish = math.max(wish, math.min(FIRST_SECONDS * perSecond, DRAWN_MAX * pool)) end
  share.tokens = math.max(0, math.min(pool, math.max(wish, ask.wanted, ask.waiting)))
  if share.rate == 0 then share.tokens = math.floor(share.tokens) end
  if share.tokens < ask.wanted then
    if pool > 0 and mayOwe(limit, perSecond, left, ask.wanted) then share.tokens, share.rate = ask.wanted, 0
    elseif share.rate == 0 then share.tokens = 0 end
  end

  -- The invariant: the bank keeps no more than what the holders leave.
  local held = math.max(share.tokens, BURST_SECONDS * share.rate)
  limit.bank = math.min(pool - share.tokens, left.tokens - held)
  local isDrawn = share.rate == 0
  if isDrawn then noteUsed(limit, share.tokens) end
  share.validMs = isDrawn and DRAWN_MS or SHARE_MS
  share.askAgainMs = whenToAskAgain(limit, perSecond, left, share, ask, pool)
  share.waitMs = waitMs(limit, perSecond, left, share, ask, pool)
  limit.holders[others + 1] = {
    name = instance, rate = share.rate, held = held, untilMs = nowMs + share.validMs, askedMs = nowMs,
    demand = ask.demand or 0, counted = isDrawn and share.tokens or 0,
  }
  return share
end

local replies = {}
for i, text in ipairs(redis.call("MGET", unpack(KEYS))) do
  local numbers = {}
  for j = 1, 7 do numbers[j] = tonumber(ARGV[7 * i - 6 + j]) or false end
  local perSecond, used, demand, tokens, wanted, waiting, size = unpack(numbers)
  local limit = parse(text, perSecond)
  local ask = { used = used, demand = demand, tokens = tokens, wanted = wanted, waiting = waiting, size = size }
  local share = give(limit, perSecond, ask)
  redis.call("SET", KEYS[i], format(limit), "PX", KEEP_MS)
  for _, number in ipairs({ share.rate, share.tokens, share.validMs, share.askAgainMs, share.fair, share.waitMs }) do
    replies[#replies + 1] = string.format("%.4f", number)
  end
end
return replies
