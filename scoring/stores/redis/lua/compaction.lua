-- Making room in a log: the oldest events are cut off, old ones merged by buckets of time.

-- The first record to stay, and after it the last record of each bucket of time.
-- Buckets widen with age, so that an edge of window w moves by at most w / buckets.
-- Third: whether the first record is in place of all that were cut off, now or before.
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

-- Replace `count` numbers of a record's bytes; they are at place `at` and at `offset`.
local function patched(plan, bytes, at, offset, format, old, new)
  local sum = up(CHECK, bytes, plan.size - (CHECK_SIZE - 1))
  for i = 1, #new do
    sum = sum + weigh(new[i], at + i - 1) - weigh(old[i], at + i - 1)
  end
  local text = pk(format, unpack_(new))
  return sub(bytes, 1, offset - 1) .. text .. sub(bytes, offset + #text, -1 - CHECK_SIZE)
    .. pk(CHECK, sum % CHECK_MODULUS)
end

-- The links of one column among the records kept, and the largest of what each of
-- them now counts for; `changed` takes the bytes of each that differs.
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
    local _, hi, lo = up(ORDER_FORMAT, bytes)
    changed[1] = patched(plan, bytes, ID_HIGH_PLACE, EVENT_ID_HIGH_AT, ID, { hi, lo }, { 0, 0 })
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
