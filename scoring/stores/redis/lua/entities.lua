-- The entities of a call: loaded from their keys, looked at or counted, their values.

-- An entity whose keys begin with keys[k], and what they hold with texts[t].
local function load(plan, keys, k, texts, t)
  local e = events_of(plan, keys[k], texts[t])
  if #plan.hashes > 0 then
    k, t = k + 1, t + 1
    seen_of(e, keys[k], texts[t])
  end
  if plan.labelled then e.labels_key, e.labels = keys[k + 1], texts[t + 1] end
  return e
end

-- Each column's value of a transaction; what is counted by outcome has none before
-- there is one. The inputs end with a mask of outcomes (a byte) for each such column.
local function inputs_of(plan, inputs, outcome)
  local x = { up(plan.inputs, inputs) }
  for k, c in ipairs(plan.outcomes) do
    local mask = x[#plan.columns + k]
    if outcome == 0 or floor(mask / 2 ^ outcome) % 2 == 0 then x[c] = NAN end
  end
  return x
end

-- The entities named by `plans` (a byte each): their keys come after the first `k` keys,
-- their inputs after the first `a` arguments.
local function entities_of(keys, k, args, a, plans, outcome)
  local found, first = {}, k
  if #plans == 0 then return found end
  local texts = texts_of(keys, first + 1, #keys)
  for i = 1, #plans do
    local plan = PLANS[byte(plans, i)]
    local it = { plan = plan, x = inputs_of(plan, args[a + i], outcome) }
    it.e = shield(it, load, plan, keys, k + 1, texts, k - first + 1)
    k = k + 1 + (#plan.hashes > 0 and 1 or 0) + (plan.labelled and 1 or 0)
    found[i] = it
  end
  return found
end

-- Find the event's place among each entity's; whether it is too late to be counted.
local function placed(found, at, id_hash)
  local late = false
  for _, it in ipairs(found) do
    local e = it.e
    if e and e.n > 0 then
      it.b, it.present = place(e, at, id_hash)
      if not it.present and not e.plan.known and e.newest - e.plan.lateness > at then
        late = true
      end
    else
      it.b = 0
    end
  end
  return late
end

local ZEROS = {}

-- The values of all entities, what of them is inexact, and what is corrupt.
local function gather(found, step, a, c, d, f)
  local count, inexact, wrong = 0, {}, {}
  for k = 1, #found do
    found[k].base, count = count, count + found[k].plan.slots
  end
  for i = #ZEROS + 1, count do ZEROS[i] = 0 end
  local out = { unpack_(ZEROS, 1, count) }  -- of its full size at once
  for k = 1, #found do
    local it = found[k]
    local base, marks = it.base, #inexact
    if not it.corrupt then shield(it, step, it, out, inexact, a, c, d, f) end
    if it.corrupt then
      for i = 1, it.plan.slots do out[base + i] = NAN end
      for i = marks + 1, #inexact do inexact[i] = nil end
      wrong[#wrong + 1] = it.corrupt
    end
  end
  local marked = #inexact > 0 and pk('>' .. rep(SLOT, #inexact), unpack_(inexact)) or ''
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
  if e.plan.known then return look_at_events(it, out, inexact, at) end
  local cur, fresh
  if it.present then
    cur = record(e, b + 1)
    fresh = b == 0 or at - record(e, b)[TIME_PLACE] > e.plan.horizon
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
  local e, b = it.e, it.b
  if not counting or it.present or e.plan.known then return end
  if e.plan.labelled then frauds_of(e, at) end  -- are there labels that wait for it?
  write(e, b, extend(e, record(e, b), b, at, hi, lo, it.x), it.x, at)
  if e.parked then unpark(e, at, hi, lo) end
end

local function forecast_one(it, out, inexact, now)
  local e, b = it.e, it.b
  if e.plan.known then return look_at_events(it, out, inexact, now) end
  local cur, fresh = extend(e, record(e, b), b, now, 0, 0, it.x)
  evaluate(e, b, cur, fresh, now, it.x, it.base, out, inexact)
end

-- The instants after `after` at which one of the offsets' windows loses one of the
-- entity's first b events, the earliest `most` of them, added to times.
local function add_leaving(it, offsets, after, most, times)
  for o = 1, #offsets, TIME_SIZE do
    local offset = up(TIME, offsets, o)
    local j, left, last = until_(it.e, after - offset, it.b) + 1, most, nil
    while j <= it.b and left > 0 do
      local leaves = time_of(it.e, j) + offset
      if leaves ~= last then times[#times + 1], last, left = leaves, leaves, left - 1 end
      j = j + 1
    end
  end
end

-- Add what is counted by outcome to the event's record and to all after it, once.
local function settle_one(plan, key, order, x)
  local e, out = read_events(plan, key), {}
  local known, b = counted(e, up(TIME, order), sub(order, ORDER_ID_HIGH_AT))
  if not known then return end
  local first, prev, fresh = record(e, b + 1), record(e, b), {}
  local alone = events_in(e, b, b + 1) == 1
  for _, k in ipairs(plan.outcomes) do
    local c = plan.columns[k]
    local p = c.at
    local is_in = first[p] ~= prev[p] or (c.kind == KIND_SUM and first[p + 1] ~= prev[p + 1])
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
