-- An entity's log of events: read, searched, and told from what is not ours.
--
-- A log has records of one size, ascending by time and, within one instant, by the order
-- of processing: an event is behind all of its own time that came before it. Each
-- begins with its order (time, id hash), by which it is found again. Counts and sums run
-- on from record to record, so that any window is a subtraction of two of them. They wrap,
-- sums in two limbs: what two records differ by is right however long a life is.
-- Names: n records; b of them are before the transaction at hand.

local function time_of(e, i)
  return (up(TIME, e.log, (i - 1) * e.plan.size + EVENT_TIME_AT))
end

local function count_of(e, i)
  if i < 1 then return 0 end
  return (up(COUNT, e.log, (i - 1) * e.plan.size + EVENT_COUNT_AT))
end

-- How many events the records after i and up to j count for.
local function events_in(e, i, j) return (count_of(e, j) - count_of(e, i)) % WRAP end

-- A number's part in the weighted sum over a record: cheap, any damaged byte shows,
-- and it can be carried on where one number is replaced.
local function weigh(value, place) return value % CHECK_PRIME * (2 * place + 1) end

-- Beside its whole part a real's fraction, in two limbs of 53 bits.
local function weigh_fraction(value, place)
  local high = value % 1 * FRACTION
  return weigh(floor(high), place + 1) + weigh(high % 1 * FRACTION, place + 2)
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
  e.newest = record(e, e.n)[TIME_PLACE]
  return e
end

local function read_events(plan, key)
  return events_of(plan, key, read(key, plan.name .. ' events'))
end

-- Whether the first record is no event, but what is left of all that were cut off.
local function is_base(e)
  if e.n == 0 then return false end
  local _, high, low = up(ORDER_FORMAT, e.log)
  return high == 0 and low == 0
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

-- How many records are before the event whose id has this hash (8 bytes), and
-- whether it is there. One instant may have hundreds: they are not looked at one by one.
local function place(e, at, id_hash)
  local n, last = e.n, e.newest
  if last < at then return n, false end
  local size, b = e.plan.size, last == at and n or until_(e, at, n)
  local from = until_(e, at - 1, b) * size + EVENT_ID_HIGH_AT
  while from < b * size do
    local found = find(e.log, id_hash, from, true)
    if not found or found > b * size then break end
    if (found - EVENT_ID_HIGH_AT) % size == 0 then
      return (found - EVENT_ID_HIGH_AT) / size, true
    end
    from = found + 1
  end
  return b, false
end

-- Whether the entity counted the event, and how many records are before the one that holds
-- it; merged events cannot be told apart.
local function counted(e, at, id_hash)
  local b, present = place(e, at, id_hash)
  if present then return true, b end
  for i = until_(e, at - 1, b), math.min(b, e.n - 1) do
    if events_in(e, i, i + 1) > 1 then return true, i end
  end
  return false
end
