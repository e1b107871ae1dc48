-- The values of an entity's slots: what lies in each window as of an instant.

-- Where the windows' edges lie among the first b records; `coarse` where a merged
-- record may hold events on both sides of an edge. Events are mostly spread evenly: a
-- few guesses by their times come near, and halving does the rest.
local function edges_of(e, now, b, prev)
  local plan, log, size = e.plan, e.log, e.plan.size
  local edges, edge, coarse = plan.edges, {}, nil
  local first, hi, lo
  if b > 0 then first, hi, lo = up(ORDER_FORMAT, log) end
  local based = hi == 0 and lo == 0  -- see `is_base`
  local high, after = b, prev[TIME_PLACE]  -- record `high` is the last before the edge, or after
  for i = 1, #edges do  -- ascending offsets, descending instants
    local instant = now - edges[i]
    if b == 0 or first > instant then high = 0
    elseif high > 0 and after > instant then
      local low, before, guesses = 1, first, 3
      while high - low > 1 do
        local mid
        if guesses > 0 then
          guesses = guesses - 1
          mid = low + (high - low) * (instant - before) / (after - before)
          mid = mid - mid % 1
          if mid == low then mid = low + 1 end
        else
          mid = low + high
          mid = (mid - mid % 2) / 2
        end
        local t = up(TIME, log, (mid - 1) * size + EVENT_TIME_AT)
        if t <= instant then low, before = mid, t else high, after = mid, t end
      end
      high, after = low, before
    end
    edge[i] = high
  end
  if based or (e.n > 0 and record(e, e.n)[COUNT_PLACE] ~= e.n) then
    coarse = {}
    for i = 1, #edge do
      local j = edge[i]
      coarse[i] = j < b and events_in(e, j, j + 1) > 1
      if based and j == 0 then edge[i], coarse[i] = 1, true end
    end
  end
  return edge, coarse
end

-- Counts and sums: what two records differ by.
local function read_totals(e, prev, cur, edge, coarse, base, out, inexact)
  local plan = e.plan
  for k = 1, #plan.totals do
    local span = plan.totals[k]
    local lower, upper, slots = span.lower, span.upper, span.slots
    local from = record(e, edge[lower])
    local to = upper == 0 and cur or upper < 0 and prev or record(e, edge[upper])
    for m = 1, #slots, 2 do
      local at = slots[m + 1]
      local value = to[at] - from[at]
      out[base + slots[m]] = value < 0 and value + WRAP or value
    end
    local sums = span.sums
    for m = 1, #sums, 2 do
      local at = sums[m + 1]
      local high = to[at] - from[at]
      if high < -WRAP / 2 then high = high + WRAP
      elseif high >= WRAP / 2 then high = high - WRAP end
      out[base + sums[m]] = high * LIMB + (to[at + 1] - from[at + 1])
    end
    if coarse and (coarse[lower] or (upper > 0 and coarse[upper])) then
      for m = 1, #slots, 2 do inexact[#inexact + 1] = base + slots[m] end
      for m = 1, #sums, 2 do inexact[#inexact + 1] = base + sums[m] end
    end
  end
end

local function read_largest(e, b, cur, edge, coarse, base, out, inexact)
  local plan, log, size = e.plan, e.log, e.plan.size
  for k = 1, #plan.tops do
    local c = plan.tops[k]
    local best, j, from = cur[c.at], b, nil
    local slots, format, offset = c.slots, c.format, c.offset - size
    for n = 1, #slots, 2 do
      local i, lower = slots[n], slots[n + 1]
      local start = edge[lower]
      while j > start do  -- as top_of, without a call
        local v, back = up(format, log, j * size + offset)
        if v > best then best, from = v, j end
        j = back == 0 and 0 or j - back
      end
      if from then record(e, from) end  -- checks it
      out[base + i] = best == c.none and NAN or best
      if coarse and coarse[lower] then inexact[#inexact + 1] = base + i end
    end
  end
end

-- Whom a late event, or a forecast, finds met: in the events themselves.
local function read_met(e, b, c, own, edge, coarse, base, out, inexact)
  for m = 1, #c.slots, 3 do
    local i, lower = c.slots[m], edge[c.slots[m + 1]]
    local met, value = {}, 0
    if own == own then met[own], value = true, 1 end
    for j = lower + 1, b do
      local hash = record(e, j)[c.at]
      if hash ~= 0 and not met[hash] then met[hash], value = true, value + 1 end
    end
    out[base + i] = value
    local hidden = b > lower and events_in(e, lower, b) > b - lower
    if hidden or (coarse and coarse[c.slots[m + 1]]) then
      inexact[#inexact + 1] = base + i
    end
  end
end

local function read_distinct(e, b, now, x, edge, coarse, base, out, inexact)
  local plan = e.plan
  for k = 1, #plan.distincts do
    local c = plan.distincts[k]
    local own = x[c.input]
    if b == e.n and not e.partial then
      local entries, lost = e.seen[c.part][1], e.seen[c.part][2]
      local last
      if own == own then
        local at = find_own(e.seen[c.part], own)
        last = at and up(TIME, entries, at + (SIGHTING_TIME_AT - 1)) or 0
      end
      local n = #entries / SIGHTING_SIZE
      local high, oldest = n, n > 0 and up(TIME, entries, SIGHTING_TIME_AT)
      local slots = c.slots
      for m = 1, #slots, 3 do
        local i, instant, low = slots[m], now - slots[m + 2], 0
        if high > 0 and oldest > instant then high = 0 end
        while low < high do
          local mid = low + high + 1
          mid = (mid - mid % 2) / 2
          if up(TIME, entries, mid * SIGHTING_SIZE - (TIME_SIZE - 1)) <= instant then low = mid
          else high = mid - 1 end
        end
        high = low
        out[base + i] = n - low + (last and last <= instant and 1 or 0)
        if lost > instant then inexact[#inexact + 1] = base + i end
      end
    else
      read_met(e, b, c, own, edge, coarse, base, out, inexact)
    end
  end
end

local function read_seen(e, s, b, now, x)
  local own, start = x[s.input], now - e.plan.retention
  if own ~= own then return NAN end
  if b == e.n then
    local part = e.seen[s.part]
    local at = find_own(part, own)
    local value = at and up(TIME, part[1], at + (SIGHTING_TIME_AT - 1)) or 0
    if value > start then return value end
    if part[2] > start then return NAN, true end
    return 0
  end
  local merged = false
  for j = b, 1, -1 do
    local r = record(e, j)
    if r[TIME_PLACE] <= start then break end
    if r[s.at] == own then return r[TIME_PLACE], merged end
    if events_in(e, j - 1, j) ~= 1 then merged = true end
  end
  if merged then return NAN, true end
  return 0
end

local function read_frauds(s, now, frauds, lost)
  local oldest, newest, value = now - s.delay - s.window, now - s.delay, 0
  for k = 1, #frauds do
    local f = frauds[k]
    if f[1] > oldest and f[1] <= newest and passes(f[3], s.bit) then value = value + 1 end
  end
  return value, lost > oldest
end

local function read_streak(e, s, now, edge, frauds, lost)
  local start, newest = now - e.plan.retention, now - s.delay
  local value, merged = 0, lost > start
  if s.op == OP_FRAUD_TIME then
    local k = #frauds
    while k > 0 and (frauds[k][1] > newest or not passes(frauds[k][3], s.bit)) do
      k = k - 1
    end
    return k > 0 and frauds[k][1] > start and frauds[k][1] or 0, merged
  end
  local j = edge[s.upper]
  while j > 0 do
    local t, from = time_of(e, j), (j - 1) * e.plan.size + 1
    local bits = frauds[sub(e.log, from, from + (ORDER_SIZE - 1))]
    if t <= start or not bits or not passes(bits, s.bit) then break end
    value = s.op == OP_STREAK and value + 1 or t
    if events_in(e, j - 1, j) > 1 then merged = true; break end
    j = j - 1
  end
  return value, merged
end

-- What no window of the log tells: what came before, whom it met, known frauds.
local function read_others(e, b, prev, edge, fresh, now, x, base, out, inexact)
  local plan = e.plan
  local frauds, lost
  if plan.labelled then
    frauds, lost = frauds_of(e, now)
    -- A forecast looks later than its events: what comes after them is unseen.
    if b < e.n then only_seen(e, b, frauds) end
  end
  for k = 1, #plan.others do
    local s = plan.others[k]
    local op, value, unsure = s.op
    if op == OP_BEFORE then
      value = prev[s.at]
      if s.sum then value = signed(value) * LIMB + prev[s.at + 1] end
      if fresh then value = s.empty elseif value == s.none then value = NAN end
      if s.count and value < 0 then value = -value end
    elseif op == OP_TIME_BEFORE then value = fresh and 0 or prev[TIME_PLACE]
    elseif op == OP_SEEN then value, unsure = read_seen(e, s, b, now, x)
    elseif op == OP_FRAUDS then value, unsure = read_frauds(s, now, frauds, lost)
    elseif op == OP_STREAK or op == OP_STREAK_START or op == OP_FRAUD_TIME then
      value, unsure = read_streak(e, s, now, edge, frauds, lost)
    end
    out[base + s.i] = value
    if unsure then inexact[#inexact + 1] = base + s.i end
  end
end

-- Values of all slots into `out` after `base`, where zeros are, as of `now`, after
-- the first b records.
local function evaluate(e, b, cur, fresh, now, x, base, out, inexact)
  local plan = e.plan
  if b == 0 and e.n > 0 and (count_of(e, 1) > 1 or is_base(e)) then
    -- Older than anything that can be told apart: unknown.
    for i = 1, plan.slots do out[base + i], inexact[#inexact + 1] = NAN, base + i end
    return
  end
  -- A late event beside merged ones: some of those may be before it.
  local beside = b < e.n and events_in(e, b, b + 1) > 1
  if beside then
    for i = 1, plan.slots do inexact[#inexact + 1] = base + i end
  end
  local prev = record(e, b)
  local edge, coarse = edges_of(e, now, b, prev)
  read_totals(e, prev, cur, edge, coarse, base, out, inexact)
  read_largest(e, b, cur, edge, coarse, base, out, inexact)
  read_distinct(e, b, now, x, edge, coarse, base, out, inexact)
  for g = 1, #plan.normals do
    local c = plan.normals[g]
    if prev[c.n] < 0 then
      for _, i in ipairs(c.slots) do inexact[#inexact + 1] = base + i end
    end
  end
  read_others(e, b, prev, edge, fresh, now, x, base, out, inexact)
end
