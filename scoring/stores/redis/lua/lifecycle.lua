-- Lifecycle events: an entity's history of what happened to its payments. Payments look
-- at it and are not counted there; no payment sees an event before it became known.

-- Whether all of the first b events were known at an instant. A maximum leads to the one
-- before it that is larger, so the last of them is the largest of all.
local function all_known(e, b, at)
  local c, j = e.plan.known, b
  while j > 0 do
    local known, before = top_of(e, j, c)
    if known > at then return false end
    j = before
  end
  return true
end

-- What record i itself brought, running counts and sums too.
local function brought_by(e, i)
  local item, r, prev = item_of(e, i), record(e, i), record(e, i - 1)
  for k, c in ipairs(e.plan.columns) do
    if c.kind == KIND_ADD then item.x[k] = (r[c.at] - prev[c.at]) % WRAP
    elseif c.kind == KIND_SUM then item.x[k] = between(prev, r, c.at) end
  end
  return item
end

-- The first b events without events that became known after `at`, and whether merged ones
-- may hide some that were known, or hold some that occurred before.
local function known_of(e, b, at)
  local plan, out, prev, n = e.plan, {}, e.plan.zero, 0
  local log = { plan = plan, n = 0, memo = {}, under = e }
  local blurred = b < e.n and events_in(e, b, b + 1) > 1
  for i = 1, b do
    if top_of(e, i, plan.known) > at then
      blurred = blurred or events_in(e, i - 1, i) > 1
    else
      local item = brought_by(e, i)
      local r = extend(log, prev, n, item.at, item.hi, item.lo, item.x)
      r[COUNT_PLACE] = (prev[COUNT_PLACE] + item.n) % WRAP
      n = n + 1
      log.memo[n], log.n, prev = r, n, r
      out[n] = packed(plan, r)
    end
  end
  local known = events_of(plan, e.key, table.concat(out))
  known.seen, known.partial = e.seen, true
  return known, n, blurred
end

local function look_at_events(it, out, inexact, now)
  local e, b, blurred = it.e, it.b, false
  if not all_known(e, b, now) then e, b, blurred = known_of(e, b, now) end
  local cur = extend(e, record(e, b), b, now, 0, 0, it.x)  -- nothing is added
  evaluate(e, b, cur, false, now, it.x, it.base, out, inexact)
  if blurred then
    for i = 1, e.plan.slots do inexact[#inexact + 1] = it.base + i end
  end
end

-- Count an event with an entity, once. What is older than all that is kept for any
-- payment to come is left out; and, counted before, what merged events may hold.
local function happen_one(it, at, hi, lo, id_hash, again)
  local e = it.e
  if at <= e.newest - e.plan.keep or again and counted(e, at, id_hash) then return end
  local b, present = place(e, at, id_hash)
  if present then return end
  write(e, b, extend(e, record(e, b), b, at, hi, lo, it.x), it.x, at)
end
