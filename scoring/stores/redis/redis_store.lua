-- The online engine: one generic program over the compiled table PLANS; CHECKS has the
-- check of each plan's records written out.
--
-- An entity keeps up to three strings under one hash tag:
--   events  append-only log of fixed records by time, and by the order of processing
--           within one instant: an event stands behind all of its own time that came
--           before it. Each begins with its order (time, id hash), by which it is
--           found again, and has running counts and sums, so that any window is a subtraction of two
--           records; each record says how many records back the nearest one with a
--           larger value stands, so that the maximum of a window is a walk of a few
--           links, and old records can be cut off without touching the others
--   seen    counterparts by the time they were last seen
--   labels  versions of labels of the entity's transactions, sorted
-- Running counts wrap at 2^32 and running sums, in two limbs of 32 and 48 bits, at
-- 2^80: what two records differ by is right all the same, however long a life is.
-- Every record ends with a check of its bytes: what is not ours is refused.
-- Names: n records; b of them stand before the transaction at hand.

local up, pk, call, pcall_, sub, rep, find, byte, floor, unpack_
local NAN = 0 / 0
local SEEN = 12   -- counterpart 6, last seen 6
local LABEL = 30  -- time 6, tie 8, version 4, known 6, bits 2, check 4
local WRAP, LIMB = 4294967296, 281474976710656  -- 2^32, 2^48
local VERDICT = 5 -- version 4, verdict 1
local VERDICTS_MAX = 64 -- of one payment; the lowest versions go first
local PARKED = 32768  -- a bit: its transaction is not counted, or not yet

-- The server's libraries exist in calls, not yet while functions are loaded.
local function bind()
  if up then return end
  up, pk, call, pcall_ = struct.unpack, struct.pack, redis.call, redis.pcall
  sub, rep, find, byte = string.sub, string.rep, string.find, string.byte
  floor, unpack_ = math.floor, unpack
  for i, plan in ipairs(PLANS) do
    plan.check, plan.earlier.check = CHECKS[i], EARLIER[i]
  end
end

local function check(body)
  return sub(redis.sha1hex(body), 1, 4)
end

-- Corrupt state is raised as a table and caught once for each entity.
local function corrupt(what) error({ corrupt = what }) end

local function read(key, what)
  local value = pcall_('GET', key)
  if type(value) == 'table' then corrupt(what) end
  return value or ''
end

-- What stands under keys[first] to keys[last], in one call: '' where there is nothing,
-- false where it is no text.
local function texts_of(keys, first, last)
  local texts, absent = call('MGET', unpack_(keys, first, last)), {}
  for i = 1, #texts do
    if not texts[i] then absent[#absent + 1], texts[i] = keys[first + i - 1], '' end
  end
  if #absent > 0 and call('EXISTS', unpack_(absent)) > 0 then
    for i = 1, #texts do
      if texts[i] == '' and type(pcall_('GET', keys[first + i - 1])) == 'table' then
        texts[i] = false
      end
    end
  end
  return texts
end

local function ours(value, what)
  if not value then corrupt(what) end
  return value
end

-- Events ------------------------------------------------------------------

local function time_of(e, i)
  return (up('>I6', e.log, (i - 1) * e.plan.size + 1))
end

local function count_of(e, i)
  if i < 1 then return 0 end
  return (up('>I4', e.log, (i - 1) * e.plan.size + 15))
end

-- How many events the records after i and up to j stand for.
local function events_in(e, i, j) return (count_of(e, j) - count_of(e, i)) % WRAP end

-- A number's part in the weighted sum over a record: cheap, any damaged byte shows,
-- and it can be carried on where one number is replaced.
local function weigh(value, place) return value % 65521 * (2 * place + 1) end

-- Beside its whole part a real's fraction, in two limbs of 53 bits.
local function weigh_fraction(value, place)
  local high = value % 1 * 9007199254740992
  return weigh(floor(high), place + 1) + weigh(high % 1 * 9007199254740992, place + 2)
end

-- Record i; nil where it is not ours.
local function whole(e, i)
  local plan = e.plan
  local r = { up(plan.format, e.log, (i - 1) * plan.size + 1) }
  if plan.check(r, floor, weigh_fraction) ~= r[plan.width + 1] then return nil end
  e.memo[i] = r
  return r
end

local function record(e, i)
  local r = e.memo[i]
  if r then return r end
  if i < 1 then return e.plan.zero end
  return whole(e, i) or corrupt(e.plan.name .. ' events')
end

local function packed(plan, r)
  r[plan.width + 1] = plan.check(r, floor, weigh_fraction)
  return pk(plan.format, unpack_(r, 1, plan.width + 1))
end

-- A log as an earlier release wrote it, its sums in one limb, in the bytes of this one.
local function widened(plan, log)
  local old, out = plan.earlier, {}
  if #log % old.size ~= 0 then corrupt(plan.name .. ' events') end
  for i = 1, #log, old.size do
    local was, r = { up(old.format, log, i) }, {}
    if old.check(was, floor, weigh_fraction) ~= was[old.width + 1] then
      corrupt(plan.name .. ' events')
    end
    for place = 1, old.width do
      local value = was[place]
      if old.sums[place] == 1 then
        r[#r + 1] = floor(value / LIMB)
        value = value % LIMB
      end
      r[#r + 1] = value
    end
    out[#out + 1] = packed(plan, r)
  end
  return table.concat(out), #out
end

-- `newest` is when its newest event occurred, -1 where there is none.
local function events_of(plan, key, value)
  local log = ours(value, plan.name .. ' events')
  local n = #log / plan.size
  local e = { plan = plan, key = key, log = log, n = n, memo = {}, newest = -1 }
  if n == 0 then return e end
  if n ~= floor(n) or not whole(e, n) then
    e.log, e.n = widened(plan, log)
    call('SET', key, e.log, 'KEEPTTL')
  end
  e.newest = record(e, e.n)[1]
  return e
end

local function read_events(plan, key)
  return events_of(plan, key, read(key, plan.name .. ' events'))
end

-- A maximum's value, and the record with a larger one before it (0 or less: none),
-- without reading the whole record.
local function top_of(e, j, c)
  local value, back
  if e.log then
    value, back = up(c.format, e.log, (j - 1) * e.plan.size + c.offset)
  else
    local r = e.memo[j] or record(e.under, j)
    value, back = r[c.at], r[c.at + 1]
  end
  return value, back == 0 and 0 or j - back
end

-- The last of the first `high` records at or before `instant`.
local function until_(e, instant, high)
  local low = 0
  while low < high do
    local mid = floor((low + high + 1) / 2)
    if time_of(e, mid) <= instant then low = mid else high = mid - 1 end
  end
  return low
end

-- How many records stand before the event whose id has this hash (8 bytes), and
-- whether it is there. One instant may have hundreds: they are not looked at one by one.
local function place(e, at, tie)
  local n, last = e.n, e.newest
  if last < at then return n, false end
  local size, b = e.plan.size, last == at and n or until_(e, at, n)
  local from = until_(e, at - 1, b) * size + 7
  while from < b * size do
    local found = find(e.log, tie, from, true)
    if not found or found > b * size then break end
    if (found - 7) % size == 0 then return (found - 7) / size, true end
    from = found + 1
  end
  return b, false
end

-- A sum in two limbs, and a number more.
local function plus(high, low, v)
  low = low + v
  if low < LIMB then return high, low end
  local carry = floor(low / LIMB)
  return high + carry, low - carry * LIMB
end

-- What a sum has grown by from one record to another.
local function between(from, to, p)
  return (to[p] - from[p]) % WRAP * LIMB + (to[p + 1] - from[p + 1])
end

-- Add to a record's running count or sum.
local function raise(c, r, v)
  local p = c.at
  if c.kind == 'sum' then
    local high, low = plus(r[p], r[p + 1], v)
    r[p], r[p + 1] = high % WRAP, low
  else
    r[p] = (r[p] + v) % WRAP
  end
end

-- A record's own part is `x` (plan.columns numbers, NaN none); `prev` the one before.
local function extend(e, prev, b, at, hi, lo, x)
  local plan = e.plan
  local columns, r = plan.columns, { unpack_(plan.zero) }  -- of its full size at once
  r[1], r[2], r[3], r[4] = at, hi, lo, (prev[4] + 1) % WRAP
  local fresh = b == 0 or at - prev[1] > plan.horizon
  for i = 1, #columns do
    local c, v = columns[i], x[i]
    local p, kind = c.at, c.kind
    if kind == 'add' then
      r[p] = v == v and (prev[p] + v) % WRAP or prev[p]
    elseif kind == 'sum' then
      local high, low = prev[p], prev[p + 1]
      if v == v then
        low = low + v
        if low >= LIMB then
          high, low = plus(high, 0, low)
          high = high % WRAP
        end
      end
      r[p], r[p + 1] = high, low
    elseif kind == 'max' then
      if v ~= v then v = c.none end
      local j = b
      while j > 0 do
        local other, link = top_of(e, j, c)
        if other > v then break end
        j = link
      end
      r[p], r[p + 1] = v, j > 0 and b + 1 - j or 0
    elseif kind == 'hash' then
      r[p] = v == v and v or 0
    elseif kind == 'last' then
      if v == v then r[p] = v elseif fresh then r[p] = c.none else r[p] = prev[p] end
    elseif kind == 'first' then
      r[p] = fresh and at or prev[p]
    end
  end
  for g = 1, #plan.normals do
    local c = plan.normals[g]
    local v = x[c.input]
    local n, t, h, l = c.n, c.s, c.h, c.l
    local count, th, tl, hh, hl, lh, ll = 0, 0, 0, 0, 0, 0, 0
    if not fresh then
      count, th, tl = prev[n], prev[t], prev[t + 1]
      hh, hl, lh, ll = prev[h], prev[h + 1], prev[l], prev[l + 1]
    end
    local sign = count < 0 and -1 or 1  -- below zero: not quite known
    count = count * sign
    local unusual = c.u and prev[c.u] or 0
    if v == v then
      if count > 0 and v * count > c.trim * (th * LIMB + tl) then
        unusual = (unusual + 1) % WRAP
      else
        count = count + 1
        th, tl = plus(th, tl, v)
        -- v * v in two limbs of 40 bits, from halves of 22 bits.
        local a = floor(v / 4194304)
        local d = v - a * 4194304
        -- v^2 = a^2 2^44 + a d 2^23 + d^2
        local m = a * d
        local mh = floor(m / 131072)
        local rest = (m - mh * 131072) * 8388608 + d * d
        local carry = floor(rest / 1099511627776)
        hh, hl = plus(hh, hl, a * a * 16 + mh + carry)
        lh, ll = plus(lh, ll, rest - carry * 1099511627776)
        -- These are no differences: they count from where the history began.
        if th >= WRAP or hh >= WRAP or lh >= WRAP or count >= WRAP / 2 then
          corrupt(plan.name .. ' overflow')
        end
      end
    end
    r[n], r[t], r[t + 1] = count * sign, th, tl
    r[h], r[h + 1], r[l], r[l + 1] = hh, hl, lh, ll
    if c.u then r[c.u] = unusual end
  end
  return r, fresh
end

-- Counterparts ------------------------------------------------------------

-- Parts of `seen`, one for each counterpart column: entries ascending in time.
local function seen_of(e, key, value)
  local entries = ours(value, e.plan.name .. ' seen')
  local parts = {}
  e.seen_key, e.seen_size = key, #entries
  if entries == '' then
    if e.n > 0 then corrupt(e.plan.name .. ' seen') end
    for i = 1, #e.plan.hashes do parts[i] = { '', 0 } end
  else
    local body = sub(entries, 1, -5)
    if check(body) ~= sub(entries, -4) then corrupt(e.plan.name .. ' seen') end
    local at = 1
    for i = 1, #e.plan.hashes do
      local count, lost = up('>I2I6', body, at)
      at = at + 8
      parts[i] = { sub(body, at, at + count * SEEN - 1), lost }
      at = at + count * SEEN
    end
  end
  e.seen = parts
end

local function find_seen(entries, hash6)
  local from = 1
  while true do
    local at = find(entries, hash6, from, true)
    if not at then return nil end
    if (at - 1) % SEEN == 0 then return at end
    from = at + 1
  end
end

-- Where the counterpart of the transaction at hand stands, found once.
local function find_own(part, hash)
  if part.own ~= hash then
    part.own, part.own6 = hash, pk('>I6', hash)
    part.found = find_seen(part[1], part.own6)
  end
  return part.found
end

local function seen_after(entries, instant)
  local low, high = 0, #entries / SEEN
  local n = high
  while low < high do
    local mid = floor((low + high + 1) / 2)
    if up('>I6', entries, (mid - 1) * SEEN + 7) <= instant then low = mid
    else high = mid - 1 end
  end
  return n - low
end

-- Put a sighting in its place; the oldest go when they expire or are too many.
local function sight(e, part, hash, at)
  local entries, found = part[1], find_own(part, hash)
  if found and up('>I6', entries, found + 6) >= at then return end
  local entry = part.own6 .. pk('>I6', at)
  local from = found or #entries + 1
  local newest = entries ~= '' and up('>I6', entries, #entries - 5) or at
  if newest <= at then
    newest = at
    if not found then entries = entries .. entry
    else entries = sub(entries, 1, found - 1) .. sub(entries, found + SEEN) .. entry end
  else
    if found then entries = sub(entries, 1, found - 1) .. sub(entries, found + SEEN) end
    local cut = #entries - seen_after(entries, at) * SEEN
    entries = sub(entries, 1, cut) .. entry .. sub(entries, cut + 1)
    if cut < from then from = cut + 1 end
    newest = up('>I6', entries, #entries - 5)
  end
  local oldest, drop = newest - e.plan.keep, 0
  while drop < #entries and up('>I6', entries, drop + 7) <= oldest do
    drop = drop + SEEN
  end
  while #entries - drop > e.plan.distinct_max * SEEN do
    part[2] = math.max(part[2], (up('>I6', entries, drop + 7)))
    drop = drop + SEEN
  end
  if drop > 0 then entries = sub(entries, drop + 1) end
  -- What goes may be told in the head, and so is the number of entries.
  if drop > 0 or #entries ~= #part[1] then from = -7 end
  part[1], part.from, part.own = entries, from, nil
end

-- Write what was sighted; what stands before the first change stays.
local function write_seen(e)
  local out, at, low = {}, 0, nil
  for i, part in ipairs(e.seen) do
    out[2 * i - 1] = pk('>I2I6', #part[1] / SEEN, part[2])
    out[2 * i] = part[1]
    if part.from and not low then low = at + 7 + part.from end
    at = at + 8 + #part[1]
  end
  local body = table.concat(out)
  local size = e.seen_size
  if size == 0 or at + 4 < size then
    call('SET', e.seen_key, body .. check(body), 'KEEPTTL')
  elseif low then
    call('SETRANGE', e.seen_key, low, sub(body, low + 1) .. check(body))
  end
end

-- Labels ------------------------------------------------------------------

-- Known frauds as of `at`, ascending in time: { time, order, bits }; and by their
-- orders, the bits.
local function frauds_of(e, at)
  local labels = ours(e.labels, e.plan.name .. ' labels')
  local frauds, lost = {}, 0
  if labels == '' then return frauds, lost end
  if (#labels - 6) % LABEL ~= 0 then corrupt(e.plan.name .. ' labels') end
  lost = up('>I6', labels, 1)
  local time, order, bits
  local function close()
    if bits and bits % 2 == 1 then
      frauds[#frauds + 1], frauds[order] = { time, order, bits }, bits
    end
  end
  for i = 7, #labels, LABEL do
    if check(sub(labels, i, i + LABEL - 5)) ~= sub(labels, i + LABEL - 4, i + LABEL - 1)
    then corrupt(e.plan.name .. ' labels') end
    local own = sub(labels, i, i + 13)
    if own ~= order then
      close()
      time, order, bits = up('>I6', own), own, nil
    end
    local known, b = up('>I6I2', labels, i + 18)
    if b >= PARKED then e.parked, known = true, math.huge end
    if known <= at then bits = b end
  end
  close()
  return frauds, lost
end

-- Leave out the frauds that do not stand among the first b events.
local function only_seen(e, b, frauds)
  local newest = record(e, b)[1]
  for k = #frauds, 1, -1 do
    local time, order = frauds[k][1], frauds[k][2]
    if time < newest then return end
    if time > newest or place(e, time, sub(order, 7)) >= b then
      table.remove(frauds, k)
      frauds[order] = nil
    end
  end
end

local function passes(bits, bit_)
  return floor(bits / bit_) % 2 == 1
end

-- Slots -------------------------------------------------------------------

-- Whether the first record stands for no event, but for all that were cut off.
local function is_base(e)
  if e.n == 0 then return false end
  local _, hi, lo = up('>I6I4I4', e.log, 1)
  return hi == 0 and lo == 0
end

-- Where the windows' edges lie among the first b records; `coarse` where a merged
-- record may hold events on both sides of an edge. Events are mostly spread evenly: a
-- few guesses by their times come near, and halving does the rest.
local function edges_of(e, now, b, prev)
  local plan, log, size = e.plan, e.log, e.plan.size
  local edges, edge, coarse = plan.edges, {}, nil
  local first, hi, lo
  if b > 0 then first, hi, lo = up('>I6I4I4', log, 1) end
  local based = hi == 0 and lo == 0  -- see `is_base`
  local high, after = b, prev[1]  -- record `high` is the last before the edge, or after
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
        local t = up('>I6', log, (mid - 1) * size + 1)
        if t <= instant then low, before = mid, t else high, after = mid, t end
      end
      high, after = low, before
    end
    edge[i] = high
  end
  if based or (e.n > 0 and record(e, e.n)[4] ~= e.n) then
    coarse = {}
    for i = 1, #edge do
      local j = edge[i]
      coarse[i] = j < b and (count_of(e, j + 1) - count_of(e, j)) % WRAP > 1
      if based and j == 0 then edge[i], coarse[i] = 1, true end
    end
  end
  return edge, coarse
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

local function read_distinct(e, b, now, x, edge, coarse, base, out, inexact)
  local plan = e.plan
  for k = 1, #plan.distincts do
    local c = plan.distincts[k]
    local own = x[c.input]
    if b == e.n then
      local entries, lost = e.seen[c.part][1], e.seen[c.part][2]
      local last
      if own == own then
        local at = find_own(e.seen[c.part], own)
        last = at and up('>I6', entries, at + 6) or 0
      end
      local n = #entries / SEEN
      local high, oldest = n, n > 0 and up('>I6', entries, 7)
      local slots = c.slots
      for m = 1, #slots, 3 do
        local i, instant, low = slots[m], now - slots[m + 2], 0
        if high > 0 and oldest > instant then high = 0 end
        while low < high do
          local mid = low + high + 1
          mid = (mid - mid % 2) / 2
          if up('>I6', entries, mid * SEEN - 5) <= instant then low = mid
          else high = mid - 1 end
        end
        high = low
        out[base + i] = n - low + (last and last <= instant and 1 or 0)
        if lost > instant then inexact[#inexact + 1] = base + i end
      end
    else
      -- A late event looks at the events themselves.
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
  end
end

local function read_seen(e, s, b, now, x)
  local own, start = x[s.input], now - e.plan.retention
  if own ~= own then return NAN end
  if b == e.n then
    local part = e.seen[s.part]
    local at = find_own(part, own)
    local value = at and up('>I6', part[1], at + 6) or 0
    if value > start then return value end
    if part[2] > start then return NAN, true end
    return 0
  end
  local merged = false
  for j = b, 1, -1 do
    local r = record(e, j)
    if r[1] <= start then break end
    if r[s.at] == own then return r[1], merged end
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
  if s.op == 'fraud_time' then
    local k = #frauds
    while k > 0 and (frauds[k][1] > newest or not passes(frauds[k][3], s.bit)) do
      k = k - 1
    end
    return k > 0 and frauds[k][1] > start and frauds[k][1] or 0, merged
  end
  local j = edge[s.upper]
  while j > 0 do
    local t, from = time_of(e, j), (j - 1) * e.plan.size + 1
    local bits = frauds[sub(e.log, from, from + 13)]
    if t <= start or not bits or not passes(bits, s.bit) then break end
    value = s.op == 'streak' and value + 1 or t
    if events_in(e, j - 1, j) > 1 then merged = true; break end
    j = j - 1
  end
  return value, merged
end

-- Values of all slots into `out` after `base`, where zeros stand, as of `now`, after
-- the first b records.
local function evaluate(e, b, cur, fresh, now, x, base, out, inexact)
  local plan = e.plan
  if b == 0 and e.n > 0 and (count_of(e, 1) > 1 or is_base(e)) then
    -- Older than anything that can be told apart: unknown.
    for i = 1, plan.slots do out[base + i], inexact[#inexact + 1] = NAN, base + i end
    return
  end
  -- A late event beside merged ones: some of those may stand before it.
  local beside = b < e.n and events_in(e, b, b + 1) > 1
  if beside then
    for i = 1, plan.slots do inexact[#inexact + 1] = base + i end
  end
  local prev = record(e, b)
  local edge, coarse = edges_of(e, now, b, prev)
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
      if high < 0 then high = high + WRAP end
      out[base + sums[m]] = high * LIMB + (to[at + 1] - from[at + 1])
    end
    if coarse and (coarse[lower] or (upper > 0 and coarse[upper])) then
      for m = 1, #slots, 2 do inexact[#inexact + 1] = base + slots[m] end
      for m = 1, #sums, 2 do inexact[#inexact + 1] = base + sums[m] end
    end
  end
  read_largest(e, b, cur, edge, coarse, base, out, inexact)
  read_distinct(e, b, now, x, edge, coarse, base, out, inexact)
  for g = 1, #plan.normals do
    local c = plan.normals[g]
    if prev[c.n] < 0 then
      for _, i in ipairs(c.slots) do inexact[#inexact + 1] = base + i end
    end
  end
  local frauds, lost
  if plan.labelled then
    frauds, lost = frauds_of(e, now)
    -- A forecast looks later than its events: what stands after them is unseen.
    if b < e.n then only_seen(e, b, frauds) end
  end
  for k = 1, #plan.others do
    local s = plan.others[k]
    local op, value, unsure = s.op, nil, false
    if op == 'before' then
      value = prev[s.at]
      if s.sum then value = value * LIMB + prev[s.at + 1] end
      if fresh then value = s.empty elseif value == s.none then value = NAN end
      if s.count and value < 0 then value = -value end
    elseif op == 'time_before' then value = fresh and 0 or prev[1]
    elseif op == 'seen' then value, unsure = read_seen(e, s, b, now, x)
    elseif op == 'frauds' then value, unsure = read_frauds(s, now, frauds, lost)
    else value, unsure = read_streak(e, s, now, edge, frauds, lost) end
    out[base + s.i] = value
    if unsure then inexact[#inexact + 1] = base + s.i end
  end
end

-- Writing -----------------------------------------------------------------

-- Whether a record brought a place of its own; one of the same millisecond may have
-- passed its place on.
local function is_located(plan, r, prev)
  for _, c in ipairs(plan.columns) do
    if c.kind == 'last' and c.own_time then
      if r[c.own] ~= r[1] then return false end
      if prev[c.own] ~= r[1] or r[c.at] ~= prev[c.at] then return true end
    end
  end
  return false
end

-- What record i itself brought; `n` events stand behind it, more when merged.
local function item_of(e, i)
  local plan, r, prev = e.plan, record(e, i), record(e, i - 1)
  local x, unusual, located = {}, {}, is_located(plan, r, prev)
  for k, c in ipairs(plan.columns) do
    local v = r[c.at]
    if c.kind == 'hash' then x[k] = v == 0 and NAN or v
    elseif c.kind == 'max' then x[k] = v == c.none and NAN or v
    elseif c.kind == 'last' then
      local own = r[c.own] == v
      if c.own_time then own = located end
      x[k] = own and v ~= c.none and v or NAN
    else x[k] = NAN end
  end
  for g, c in ipairs(plan.normals) do
    local one = (r[c.count_at] - prev[c.count_at]) % WRAP == 1
    x[c.input] = one and between(prev, r, c.sum_at) or NAN
    unusual[g] = c.u and r[c.u] - prev[c.u] or 0
  end
  local n = (r[4] - prev[4]) % WRAP
  return { at = r[1], hi = r[2], lo = r[3], n = n, x = x, old = r, unusual = unusual }
end

-- The first record to stay, and after it the last record of each bucket of time.
-- Buckets widen with age, so that an edge of window w moves by at most w / buckets.
-- Third: whether the first record stands for all that were cut off, now or before.
local function kept_of(e, newest)
  local plan = e.plan
  local first = math.max(until_(e, newest - plan.keep, e.n), 1)
  local cut = first > 1 or is_base(e)
  local kept, spans = {}, plan.spans
  if e.n - first + 1 <= plan.events_max * 5 / 8 then
    for i = first, e.n do kept[#kept + 1] = i end
    return first, kept, cut
  end
  local buckets, held = floor(plan.events_max / 2 / #spans), nil
  for i = first, e.n do
    local at, k = time_of(e, i), 1
    local age = newest - at
    while k < #spans and age >= spans[k] do k = k + 1 end
    local width = age < spans[k] and spans[k] or math.max(spans[k], 4 * (plan.keep - spans[k]))
    local bucket = k * 1e15 + floor(at / floor(width / buckets))
    kept[bucket == held and #kept or #kept + 1] = i
    held = not (cut and i == first) and bucket or nil  -- what is cut off stays apart
  end
  return first, kept, cut
end

-- Replace `count` numbers of a record's bytes; they stand at `place` and at `offset`.
local function patched(plan, bytes, place, offset, format, old, new)
  local sum = up('>I3', bytes, plan.size - 2)
  for i = 1, #new do
    sum = sum + weigh(new[i], place + i - 1) - weigh(old[i], place + i - 1)
  end
  local text = pk(format, unpack(new))
  return sub(bytes, 1, offset - 1) .. text .. sub(bytes, offset + #text, -4)
    .. pk('>I3', sum % 16777216)
end

-- The links of one column among the records kept, and the largest of what each of
-- them now stands for; `changed` takes the bytes of those that differ.
local function relink(e, c, first, kept, changed)
  local best, link, from = {}, {}, first
  for k = 1, #kept do
    local i = kept[k]
    local value, before = top_of(e, i, c)
    local largest = value
    for j = from, i - 1 do
      local other = top_of(e, j, c)
      if other > largest then largest = other end
    end
    from = i + 1
    local p = k - 1
    while p > 0 and best[p] <= largest do p = link[p] end
    best[k], link[k] = largest, p
    local back, was = p > 0 and k - p or 0, before > 0 and i - before or 0
    if largest ~= value or back ~= was then
      local start = (i - 1) * e.plan.size + 1
      local bytes = changed[k] or sub(e.log, start, start + e.plan.size - 1)
      local _, stored = up(c.format, bytes, c.offset)
      changed[k] = patched(
        e.plan, bytes, c.at, c.offset, c.format, { value, stored }, { largest, back }
      )
    end
  end
end

-- Make room: cut off what no window can reach, and merge old records where there are
-- still too many. Records are copied as they are, running totals and all; only links
-- are made anew, so that the cost for each event stays small.
local function compact(e, at)
  local plan, size, changed, out = e.plan, e.plan.size, {}, {}
  local first, kept, cut = kept_of(e, math.max(at, e.newest))
  if #kept < e.n - first + 1 then
    for _, c in ipairs(plan.tops) do relink(e, c, first, kept, changed) end
  end
  if cut then
    local bytes = changed[1] or sub(e.log, (first - 1) * size + 1, first * size)
    local _, hi, lo = up('>I6I4I4', bytes)
    changed[1] = patched(plan, bytes, 2, 7, '>I4I4', { hi, lo }, { 0, 0 })
  end
  local k = 1
  while k <= #kept do
    local i, run = kept[k], k
    if changed[k] then
      out[#out + 1] = changed[k]
    else
      while kept[run + 1] == kept[run] + 1 and not changed[run + 1] do run = run + 1 end
      out[#out + 1] = sub(e.log, (i - 1) * size + 1, kept[run] * size)
    end
    k = run + 1
  end
  e.log, e.n, e.memo = table.concat(out), #kept, {}
  call('SET', e.key, e.log, 'KEEPTTL')
end

local function folds_stand(plan, r, prev, item)
  local old = item.old
  for _, c in ipairs(plan.columns) do
    if c.kind == 'last' or c.kind == 'first' then r[c.at] = old[c.at] end
  end
  for g, c in ipairs(plan.normals) do
    -- What the late event would have changed cannot be told any more; without any
    -- amount of their own, merged events leave what stood before them.
    if old[c.n] ~= 0 then
      r[c.n] = -math.abs(old[c.n])
      for _, p in ipairs({ c.s, c.h, c.l }) do r[p], r[p + 1] = old[p], old[p + 1] end
    end
    if c.u then r[c.u] = (prev[c.u] + item.unusual[g]) % WRAP end
  end
end

-- One event more among those that a merged record stands for.
local function absorb(plan, item, x)
  for k, c in ipairs(plan.columns) do
    if c.kind == 'max' and x[k] == x[k] and not (item.x[k] > x[k]) then
      item.x[k] = x[k]
    end
  end
end

-- Running counts and sums of a record that a late event now stands before.
local function raise_all(plan, r, old, x)
  r[4] = (old[4] + 1) % WRAP
  for k, c in ipairs(plan.columns) do
    if c.kind == 'add' or c.kind == 'sum' then
      r[c.at] = old[c.at]
      if c.kind == 'sum' then r[c.at + 1] = old[c.at + 1] end
      if x[k] == x[k] then raise(c, r, x[k]) end
    end
  end
end

-- Write what comes after a late event anew: all of it rests on what came before. The
-- event gets a record of its own, except beside merged ones, some of which may stand
-- before it: there it is merged as well.
local function insert(e, b, cur, x)
  local plan, items, out = e.plan, {}, {}
  for i = b + 1, e.n do items[i - b] = item_of(e, i) end
  local log = { plan = plan, n = b, memo = {}, under = e }
  local prev = record(e, b)
  if items[1].n > 1 then
    absorb(plan, items[1], x)
  else
    log.n, log.memo[b + 1], prev, out[1] = b + 1, cur, cur, packed(plan, cur)
  end
  for _, item in ipairs(items) do
    local i = log.n + 1
    local r = extend(log, prev, i - 1, item.at, item.hi, item.lo, item.x)
    raise_all(plan, r, item.old, x)
    if item.n > 1 then folds_stand(plan, r, prev, item) end
    log.memo[i], log.n, prev = r, i, r
    out[#out + 1] = packed(plan, r)
  end
  call('SETRANGE', e.key, b * plan.size, table.concat(out))
end

-- An entity's keys outlive all that may still be asked of its last event: they are
-- given their whole life anew with its first event in each span of event time.
local function renew(e, at)
  local plan = e.plan
  if e.newest >= at - at % plan.renewed then return end
  call('PEXPIRE', e.key, plan.ttl)
  if #plan.hashes > 0 then call('PEXPIRE', e.seen_key, plan.ttl) end
  if e.labels_key then call('PEXPIRE', e.labels_key, plan.ttl) end
end

local function write(e, b, cur, x, at)
  local plan = e.plan
  if e.n + 1 >= plan.events_max then
    compact(e, at)
    b = until_(e, cur[1], e.n)
    cur = extend(e, record(e, b), b, cur[1], cur[2], cur[3], x)
  end
  if e.n == 0 then call('SET', e.key, packed(plan, cur)) -- exact size, no slack
  elseif b == e.n and e.n == floor(plan.events_max * 9 / 16) then
    -- The server doubles the room of what grows: from here once more is enough.
    call('SET', e.key, e.log .. packed(plan, cur), 'KEEPTTL')
  elseif b == e.n then call('APPEND', e.key, packed(plan, cur))
  else insert(e, b, cur, x) end
  if #plan.hashes > 0 then
    for i, h in ipairs(plan.hashes) do
      if x[h] == x[h] then sight(e, e.seen[i], x[h], at) end
    end
    write_seen(e)
  end
  renew(e, at)
end

-- Let labels that came before their transaction count from now on.
local function unpark(e, at, hi, lo)
  local labels, out = e.labels, {}
  out[1] = sub(labels, 1, 6)
  for i = 7, #labels, LABEL do
    local body = sub(labels, i, i + LABEL - 5)
    local t, h, l, version, known, bits = up('>I6I4I4I4I6I2', body)
    if t == at and h == hi and l == lo and bits >= PARKED then
      body = pk('>I6I4I4I4I6I2', t, h, l, version, known, bits - PARKED)
    end
    out[#out + 1] = body .. check(body)
  end
  call('SET', e.labels_key, table.concat(out), 'KEEPTTL')
end

-- Calls -------------------------------------------------------------------

-- What a claim or a decision begins with. O: claimed, not yet observed. C: observed, and
-- what was seen. D: decided and observed. P (1 to 4 where the outcome is to be counted):
-- decided, still to be observed.
local KINDS = 'OCDP1234'
local NO_HISTORY = 'REBUILD the history is not there'
local BEING_REBUILT = 'REBUILDING the history is being put back'

-- An entity whose keys begin with keys[k], and what stands under them with texts[t].
local function load(plan, keys, k, texts, t)
  local e = events_of(plan, keys[k], texts[t])
  if #plan.hashes > 0 then
    k, t = k + 1, t + 1
    seen_of(e, keys[k], texts[t])
  end
  if plan.labelled then e.labels_key, e.labels = keys[k + 1], texts[t + 1] end
  return e
end

-- Run a step for an entity; corrupt state is noted, anything else is a bug.
local function shield(it, step, ...)
  local ok, e = pcall(step, ...)
  if ok then return e end
  if type(e) ~= 'table' or not e.corrupt then error(e) end
  it.corrupt = e.corrupt
end

-- Each column's value of a transaction; what is counted by outcome has none before
-- there is one. The inputs end with a mask of outcomes (a byte) for each such column.
local function inputs_of(plan, packed_inputs, outcome)
  local x = { up(plan.inputs, packed_inputs) }
  for k, c in ipairs(plan.outcomes) do
    local mask = x[#plan.columns + k]
    if outcome == 0 or floor(mask / 2 ^ outcome) % 2 == 0 then x[c] = NAN end
  end
  return x
end

-- The entities named by `plans` (a byte each), with their keys from keys[from] on.
local function entities_of(keys, from, args, first_arg, plans, outcome)
  local found, k = {}, from
  if #plans == 0 then return found end
  local texts = texts_of(keys, from, #keys)
  for i = 1, #plans do
    local plan = PLANS[byte(plans, i)]
    local it = { plan = plan, x = inputs_of(plan, args[first_arg + i - 1], outcome) }
    it.e = shield(it, load, plan, keys, k, texts, k - from + 1)
    k = k + 1 + (#plan.hashes > 0 and 1 or 0) + (plan.labelled and 1 or 0)
    found[i] = it
  end
  return found
end

local ZEROS = {}

-- The values of all entities, what of them is inexact, and what is corrupt.
local function gather(found, step, a, c, d, f, g)
  local count, inexact, wrong = 0, {}, {}
  for k = 1, #found do
    found[k].base, count = count, count + found[k].plan.slots
  end
  for i = #ZEROS + 1, count do ZEROS[i] = 0 end
  local out = { unpack_(ZEROS, 1, count) }  -- of its full size at once
  for k = 1, #found do
    local it = found[k]
    local base, marks = it.base, #inexact
    if not it.corrupt then shield(it, step, it, out, inexact, a, c, d, f, g) end
    if it.corrupt then
      for i = 1, it.plan.slots do out[base + i] = NAN end
      for i = marks + 1, #inexact do inexact[i] = nil end
      wrong[#wrong + 1] = it.corrupt
    end
  end
  local marked = #inexact > 0 and pk('>' .. rep('I2', #inexact), unpack(inexact)) or ''
  return out, marked, table.concat(wrong, ',')
end

local DOUBLES = {}

local function doubles(out)
  local n = #out
  local format = DOUBLES[n]
  if not format then format = '<' .. rep('d', n); DOUBLES[n] = format end
  return pk(format, unpack_(out))
end

local function observe_one(it, out, inexact, at, hi, lo, counting)
  local e, b = it.e, it.b
  local cur, fresh
  if it.present then
    cur = record(e, b + 1)
    fresh = b == 0 or at - record(e, b)[1] > e.plan.horizon
  else
    cur, fresh = extend(e, record(e, b), b, at, hi, lo, it.x)
  end
  evaluate(e, b, cur, fresh, at, it.x, it.base, out, inexact)
  if not counting or it.present then return end
  write(e, b, cur, it.x, at)
  if e.parked then unpark(e, at, hi, lo) end
end

-- The same where nobody asks what was seen.
local function count_unseen(it, _, _, at, hi, lo, counting)
  if not counting or it.present then return end
  local e, b = it.e, it.b
  if e.plan.labelled then frauds_of(e, at) end  -- are there labels that wait for it?
  write(e, b, extend(e, record(e, b), b, at, hi, lo, it.x), it.x, at)
  if e.parked then unpark(e, at, hi, lo) end
end

local function forecast_one(it, out, inexact, now)
  local e, b = it.e, it.b
  local cur, fresh = extend(e, record(e, b), b, now, 0, 0, it.x)
  evaluate(e, b, cur, fresh, now, it.x, it.base, out, inexact)
end

-- The next place in the order of processing, 0 on a dry run; nil in a store that was
-- wiped or is being rebuilt: no number stands there (connecting puts the first), and
-- nothing may be read or counted before its history is back.
local function next_place(key, dry)
  if dry then return tonumber(pcall_('GET', key) or nil) and 0 end
  local seq = pcall_('INCR', key)
  if type(seq) == 'table' then return nil end
  if seq == 1 then call('SET', key, 'lost'); return nil end
  return seq
end

-- What to answer where a mark of the history is no number: nothing may be written there.
-- A call without a mark is one of a cluster, where its keys stand elsewhere.
local function lost(mark)
  if not mark then return nil end
  local found = pcall_('GET', mark)
  if found == 'rebuilding' then return redis.error_reply(BEING_REBUILT) end
  return not tonumber(found or nil) and redis.error_reply(NO_HISTORY) or nil
end

-- keys: a mark. Writes what stands there, as any call of ours may have to: a store that
-- answers PING and refuses writes, or our program, fails here as it does there.
local function probe(keys)
  bind()
  local wrong = lost(keys[1])
  if wrong then return wrong end
  call('SET', keys[1], call('GET', keys[1]), 'KEEPTTL')
  return 1
end

-- Whether the entity counted the event, and how many records stand before what holds
-- it; merged events cannot be told apart.
local function counted(e, at, tie)
  local b, present = place(e, at, tie)
  if present then return true, b end
  for i = until_(e, at - 1, b), math.min(b, e.n - 1) do
    if events_in(e, i, i + 1) > 1 then return true, i end
  end
  return false
end

-- Add what is counted by outcome to the event's record and to all after it, once.
local function settle_one(plan, key, order, x)
  local e, out = read_events(plan, key), {}
  local known, b = counted(e, up('>I6', order), sub(order, 7))
  if not known then return end
  local first, prev, fresh = record(e, b + 1), record(e, b), {}
  local alone = events_in(e, b, b + 1) == 1
  for _, k in ipairs(plan.outcomes) do
    local c = plan.columns[k]
    local p = c.at
    local is_in = first[p] ~= prev[p] or (c.kind == 'sum' and first[p + 1] ~= prev[p + 1])
    if x[k] == x[k] and not (alone and is_in) then fresh[#fresh + 1] = k end
  end
  if #fresh == 0 then return end
  for i = b + 1, e.n do
    local r = record(e, i)
    for _, k in ipairs(fresh) do raise(plan.columns[k], r, x[k]) end
    out[#out + 1] = packed(plan, r)
  end
  call('SETRANGE', key, b * plan.size, table.concat(out))
end

-- What stands under the key of a decision, for the payload with this hash: either the
-- answer to give, or what is still to be counted: the decision that stands unobserved
-- (nil: none), its outcome, and what is wrong with the key.
local function claimed(key, mode, hash)
  local claim = pcall_('GET', key)
  if not claim then return nil, nil, 0, '' end
  local kind = type(claim) == 'string' and sub(claim, 1, 1) or ''
  if kind == '' or not find(KINDS, kind, 1, true) then return nil, nil, 0, 'decision' end
  if sub(claim, 2, 33) ~= hash then return { 'X', 0, '', '', '', '' } end
  if kind == 'D' and mode ~= 'D' then return { 'R', 0, '', '', '', sub(claim, 34) } end
  if kind == 'P' or tonumber(kind) then
    return nil, sub(claim, 34), tonumber(kind) or 0, ''
  end
  if kind == 'C' and mode ~= 'D' then
    local past = cmsgpack.unpack(sub(claim, 34))
    if past[1] == 'N' then past[1] = 'R' end
    if type(past[3]) == 'table' then past[3] = doubles(past[3]) end
    past[6] = ''
    return past
  end
  return nil, nil, 0, ''
end

-- Find the event's place among each entity's; whether it is too late to be counted.
local function placed(found, order)
  local at, tie = up('>I6', order), sub(order, 7)
  local late = false
  for _, it in ipairs(found) do
    local e = it.e
    if e and e.n > 0 then
      it.b, it.present = place(e, at, tie)
      if not it.present and e.newest - e.plan.lateness > at then late = true end
    else
      it.b = 0
    end
  end
  return late
end

-- keys: decision, processed, then each entity's. args: mode, payload hash, order
-- (time 6, id hash 8), plans, then each entity's inputs. Returns { what was done,
-- sequence, values, inexact slots, corrupt parts, recorded decision }; with mode A, of a
-- decision that stands, no values: it is counted, and nobody asks what was seen.
local function observe(keys, args)
  bind()
  local mode, hash, step = args[1], args[2], observe_one
  local answer, standing, outcome, wrong_claim = claimed(keys[1], mode, hash)
  if answer then return answer end
  if mode == 'A' then mode, step = 'N', standing and count_unseen or observe_one end
  local seq = next_place(keys[2], mode == 'D')
  if not seq then return lost(keys[2]) end
  local at, hi, lo = up('>I6I4I4', args[3])
  local found = entities_of(keys, 3, args, 5, args[4], outcome)
  local done = placed(found, args[3]) and mode == 'N' and 'L' or mode
  local values, marked, wrong = gather(found, step, at, hi, lo, done == 'N')
  if wrong_claim ~= '' then wrong = wrong == '' and wrong_claim or wrong .. ',' .. wrong_claim end
  if mode == 'D' then return { 'D', 0, doubles(values), marked, wrong, '' } end
  local result = { done, seq, values, marked, wrong }
  local kept = standing and 'D' .. hash .. standing or 'C' .. hash .. cmsgpack.pack(result)
  call('SET', keys[1], kept, 'PX', CONFIG.dedupe_ms)
  result[3] = step == observe_one and doubles(values) or ''
  result[6] = standing or ''
  return result
end

-- In a cluster, where an entity and a claim stand on different servers, observing is
-- the five calls from here on: reach and claim, then (seldom) late, then number and
-- count, then keep.

-- keys: processed, newest. args: the newest time of a batch, 0 where nothing is to be
-- counted. No entity has an event that is newer than what stands under `newest`.
-- Returns what stood there before ('' unknown).
local function reach(keys, args)
  bind()
  if not tonumber(pcall_('GET', keys[1]) or nil) then
    return redis.error_reply(NO_HISTORY)
  end
  local newest = call('GET', keys[2])
  if newest and tonumber(newest) < tonumber(args[1]) then call('SET', keys[2], args[1]) end
  return newest or ''
end

-- keys: decision, mark. args: mode, payload hash.
-- Returns the answer as `observe`, or, of what is to be counted: { 'O', outcome, the
-- decision that stands, '', what is wrong, '' }.
local function claim_only(keys, args)
  bind()
  local mode, hash = args[1], args[2]
  local answer, standing, outcome, wrong = claimed(keys[1], mode, hash)
  if answer then return answer end
  local gone = lost(keys[2])
  if gone then return gone end
  if mode ~= 'D' and not standing then
    call('SET', keys[1], 'O' .. hash, 'PX', CONFIG.dedupe_ms)
  end
  return { 'O', outcome, standing or '', '', wrong, '' }
end

-- keys: an entity's. args: order, plan. Whether the event is too late for it.
local function late_one(keys, args)
  bind()
  local e = {}
  e.e = shield(e, read_events, PLANS[byte(args[2])], keys[1])
  return placed({ e }, args[1]) and 1 or 0
end

-- keys: processed. args: how many are counted. Returns the sequence of the last.
local function number(keys, args)
  bind()
  local seq = pcall_('INCRBY', keys[1], args[1])
  if type(seq) == 'table' then return redis.error_reply(NO_HISTORY) end
  if seq == tonumber(args[1]) then
    call('SET', keys[1], 'lost')
    return redis.error_reply(NO_HISTORY)
  end
  return seq
end

-- keys: an entity's. args: mode, plan, outcome (a byte each) and order; inputs. Returns
-- values, or, where there is more to say, { values, inexact slots, corrupt parts }.
local function count_one(keys, args)
  bind()
  local mode, outcome = sub(args[1], 1, 1), byte(args[1], 3)
  local at, hi, lo = up('>I6I4I4', args[1], 4)
  local found = entities_of(keys, 1, args, 2, sub(args[1], 2, 2), outcome)
  placed(found, sub(args[1], 4))
  local values, marked, wrong = gather(found, observe_one, at, hi, lo, mode == 'N')
  local it = found[1]
  if mode == 'N' and outcome > 0 and it.present and not it.corrupt then
    -- Counted before its outcome was.
    shield(it, settle_one, it.plan, keys[1], sub(args[1], 4), it.x)
  end
  if marked == '' and wrong == '' then return doubles(values) end
  return { doubles(values), marked, wrong }
end

-- keys: decision, mark. args: payload hash, then what was observed: what was done, sequence,
-- values, inexact slots, corrupt parts. A repeat is answered with it. Where a decision
-- stands already, it is observed from now on.
local function keep(keys, args)
  bind()
  local gone = lost(keys[2])
  if gone then return gone end
  local claim = pcall_('GET', keys[1])
  local kind = type(claim) == 'string' and sub(claim, 1, 1) or 'O'
  if kind == 'P' or tonumber(kind) then
    -- args[7]: the outcome that was counted with what was seen; none where settled.
    if sub(claim, 2, 33) == args[1] and (kind == 'P' or kind == (args[7] or kind)) then
      call('SETRANGE', keys[1], 0, 'D')
    end
  elseif kind == 'O' or not find(KINDS, kind, 1, true) then
    local seen = { args[2], tonumber(args[3]), args[4], args[5], args[6] }
    call('SET', keys[1], 'C' .. args[1] .. cmsgpack.pack(seen), 'PX', CONFIG.dedupe_ms)
  end
  return 1
end

-- The instants after `after` at which one of the offsets' windows loses one of the
-- entity's first b events, the earliest `most` of them, added to times.
local function add_leaving(it, offsets, after, most, times)
  for o = 1, #offsets, 6 do
    local offset = up('>I6', offsets, o)
    local j, left, last = until_(it.e, after - offset, it.b) + 1, most, nil
    while j <= it.b and left > 0 do
      local leaves = time_of(it.e, j) + offset
      if leaves ~= last then times[#times + 1], last, left = leaves, leaves, left - 1 end
      j = j + 1
    end
  end
end

-- As `observe` would see the same payload at each of the next instants at which a
-- window loses an event, from what is ordered at or before it. args: order, after,
-- most, plans, inputs, then the windows' offsets of each entity (6 bytes each). With a
-- `most` of 0, `after` is the instants themselves (6 bytes each).
-- Returns the instants (6 bytes each) and, for each, the values of all entities.
local function forecast(keys, args)
  bind()
  local at, tie = up('>I6', args[1]), sub(args[1], 7)
  local after, most, plans = up('>I6', args[2]), tonumber(args[3]), args[4]
  local found, times = entities_of(keys, 1, args, 5, plans, 0), {}
  local given = most == 0
  if given then most = #args[2] / 6 end
  for i = 1, given and #args[2] or 0, 6 do times[#times + 1] = up('>I6', args[2], i) end
  for k, it in ipairs(found) do
    if it.e then
      local b, present = place(it.e, at, tie)
      it.b = present and b + 1 or b
      if not given then add_leaving(it, args[4 + #plans + k], after, most, times) end
    end
  end
  table.sort(times)
  local instants, packs, last = {}, {}, nil
  for _, now in ipairs(times) do
    if #instants == most then break end
    if now ~= last then
      instants[#instants + 1], last = pk('>I6', now), now
      packs[#packs + 1] = doubles((gather(found, forecast_one, now)))
    end
  end
  return { table.concat(instants), table.concat(packs) }
end

-- keys: decision, outbox, mark, then the events of each entity that counts by outcome.
-- args: payload hash, decision, outbox field, logged ('' where none), outcome, and
-- where there are such entities: order, plans, then each entity's inputs.
-- Returns { 1 ours stands, 0 another's stands, -1 another payload; the decision that
-- stands, '' ours; 1 where the outcome is still to be counted }.
local function record_decision(keys, args)
  bind()
  local gone = lost(keys[3])
  if gone then return gone end
  local claim, outcome = pcall_('GET', keys[1]), tonumber(args[5])
  local kind = type(claim) == 'string' and sub(claim, 1, 1) or ''
  if kind ~= '' and find(KINDS, kind, 1, true) then
    local open = kind == 'C' or kind == 'O'
    local standing = open and '' or sub(claim, 34)
    if sub(claim, 2, 33) ~= args[1] then return { -1, standing } end
    if not open then
      if standing == args[2] then return { 1, '' } end
      return { 0, standing }
    end
  end
  local is_counted = kind == 'C' and outcome > 0
    and cmsgpack.unpack(sub(claim, 34))[1] ~= 'L'
  -- In a cluster entities stand elsewhere: they count the outcome in a call of their own.
  local elsewhere = is_counted and #args < 6
  local now = kind == 'C' and not elsewhere and 'D' or outcome > 0 and args[5] or 'P'
  call('SET', keys[1], now .. args[1] .. args[2], 'PX', CONFIG.dedupe_ms)
  if #args[4] > 0 then call('HSET', keys[2], args[3], args[4]) end
  if elsewhere then return { 1, '', 1 } end
  if is_counted then
    for i = 1, #args[7] do
      local plan = PLANS[byte(args[7], i)]
      local x = inputs_of(plan, args[7 + i], outcome)
      -- Damage is named by the next look at the entity; the decision stands.
      shield({}, settle_one, plan, keys[3 + i], args[6], x)
    end
  end
  return { 1, '' }
end

-- keys: an entity's events. args: outcome, order, plan, inputs.
local function settle(keys, args)
  bind()
  local plan = PLANS[byte(args[3])]
  shield({}, settle_one, plan, keys[1], args[2], inputs_of(plan, args[4], tonumber(args[1])))
  return 1
end

-- How many bytes of the labels come before this one; nil where it is among them. They
-- stand in order, and chargebacks come in none.
local function label_place(entries, t, h, l, v)
  local low, high = 0, #entries / LABEL
  while low < high do
    local mid = floor((low + high) / 2)
    local t2, h2, l2, v2 = up('>I6I4I4I4', entries, mid * LABEL + 1)
    if t2 == t and h2 == h and l2 == l and v2 == v then return nil end
    if t2 < t or (t2 == t and (h2 < h or (h2 == h and (l2 < l or (l2 == l and v2 < v))))) then
      low = mid + 1
    else
      high = mid
    end
  end
  return low * LABEL
end

local function learn_one(plan, events_key, key, body)
  local e = read_events(plan, events_key)
  local t, h, l, v = up('>I6I4I4I4', body)
  if not counted(e, t, sub(body, 7, 14)) then
    local bits = up('>I2', body, #body - 1)
    body = sub(body, 1, -3) .. pk('>I2', bits + PARKED)
  end
  local text = read(key, plan.name .. ' labels')
  if text ~= '' and (#text - 6) % LABEL ~= 0 then corrupt(plan.name .. ' labels') end
  local lost = text ~= '' and up('>I6', text) or 0
  local entries = sub(text, 7)
  local at = label_place(entries, t, h, l, v)
  if not at then return end
  entries = sub(entries, 1, at) .. body .. check(body) .. sub(entries, at + 1)
  local newest, drop = up('>I6', entries, #entries - LABEL + 1), 0
  while up('>I6', entries, drop + 1) <= newest - plan.keep do
    lost = up('>I6', entries, drop + 1)
    drop = drop + LABEL
  end
  while #entries - drop > plan.labels_max * LABEL do
    lost = up('>I6', entries, drop + 1)
    drop = drop + LABEL
  end
  call('SET', key, pk('>I6', lost) .. sub(entries, drop + 1), 'PX', plan.ttl)
end

-- keys: verdicts of a payment, by version; the mark beside them. args: a version and a verdict (5 bytes),
-- milliseconds to keep them. The first verdict of a version stands: returns 1 where it
-- is this one. What is damaged is begun anew: entities keep each version once, too.
local function attest(keys, args)
  bind()
  local gone = lost(keys[2])
  if gone then return gone end
  local said, told = pcall_('GET', keys[1]), args[1]
  if type(said) ~= 'string' or #said % VERDICT ~= 0 then said = '' end
  local at = #said
  while at > 0 do
    local version = sub(said, at - VERDICT + 1, at - 1)
    if version == sub(told, 1, -2) then return sub(said, at, at) == sub(told, -1) and 1 or 0 end
    if version < sub(told, 1, -2) then break end
    at = at - VERDICT
  end
  said = sub(said, 1, at) .. told .. sub(said, at + 1)
  call('SET', keys[1], sub(said, -VERDICT * VERDICTS_MAX), 'PX', args[2])
  return 1
end

-- keys: events and labels of each entity, then the mark where it stands beside them.
-- args: plans, then each entity's label.
-- A label of a transaction that was not observed waits for it. Returns the corrupt
-- parts.
local function learn(keys, args)
  bind()
  local gone, wrong = lost(keys[2 * #args[1] + 1]), {}
  if gone then return gone end
  for i = 1, #args[1] do
    local plan = PLANS[byte(args[1], i)]
    local ok, e = pcall(learn_one, plan, keys[2 * i - 1], keys[2 * i], args[i + 1])
    if not ok then
      if type(e) ~= 'table' or not e.corrupt then error(e) end
      wrong[#wrong + 1] = e.corrupt
    end
  end
  return table.concat(wrong, ',')
end
