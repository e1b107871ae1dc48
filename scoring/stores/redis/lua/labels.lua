-- Versions of labels of an entity's transactions, by their orders: what was known when.

local function labels_ours(plan, labels)
  if (#labels - LABELS_HEAD_SIZE) % LABEL_SIZE ~= 0 then corrupt(plan.name .. ' labels') end
end

-- Known frauds as of `at`, ascending in time: { time, order, bits }; and by their
-- orders, the bits.
local function frauds_of(e, at)
  local labels = ours(e.labels, e.plan.name .. ' labels')
  local frauds, lost = {}, 0
  if labels == '' then return frauds, lost end
  labels_ours(e.plan, labels)
  lost = up(TIME, labels)
  local time, order, bits
  local function close()
    if bits and bits % (2 * LABEL_FRAUD) >= LABEL_FRAUD then
      frauds[#frauds + 1], frauds[order] = { time, order, bits }, bits
    end
  end
  for i = LABELS_HEAD_SIZE + 1, #labels, LABEL_SIZE do
    local t, _, _, _, known, b, sum = up(LABEL_FORMAT, labels, i)
    if check(sub(labels, i, i + (LABEL_BODY_SIZE - 1))) ~= sum then
      corrupt(e.plan.name .. ' labels')
    end
    local own = sub(labels, i, i + (ORDER_SIZE - 1))
    if own ~= order then
      close()
      time, order, bits = t, own, nil
    end
    if b >= LABEL_PARKED then e.parked, known = true, math.huge end
    if known <= at then bits = b end
  end
  close()
  return frauds, lost
end

-- Leave out the frauds that are not among the first b events.
local function only_seen(e, b, frauds)
  local newest = record(e, b)[TIME_PLACE]
  for k = #frauds, 1, -1 do
    local time, order = frauds[k][1], frauds[k][2]
    if time < newest then return end
    if time > newest or place(e, time, sub(order, ORDER_ID_HIGH_AT)) >= b then
      table.remove(frauds, k)
      frauds[order] = nil
    end
  end
end

local function passes(bits, bit_)
  return floor(bits / bit_) % 2 == 1
end

-- Let labels that came before their transaction count from now on.
local function unpark(e, at, hi, lo)
  local labels, out = e.labels, {}
  out[1] = sub(labels, 1, LABELS_HEAD_SIZE)
  for i = LABELS_HEAD_SIZE + 1, #labels, LABEL_SIZE do
    local body = sub(labels, i, i + (LABEL_BODY_SIZE - 1))
    local t, h, l, version, known, bits = up(LABEL_BODY_FORMAT, body)
    if t == at and h == hi and l == lo and bits >= LABEL_PARKED then
      body = pk(LABEL_BODY_FORMAT, t, h, l, version, known, bits - LABEL_PARKED)
    end
    out[#out + 1] = body .. check(body)
  end
  call('SET', e.labels_key, table.concat(out), 'KEEPTTL')
end

-- How many bytes of the labels come before this one; nil where it is among them. They
-- are in order, and chargebacks come in none.
local function label_place(entries, t, h, l, v)
  local low, high = 0, #entries / LABEL_SIZE
  while low < high do
    local mid = floor((low + high) / 2)
    local t2, h2, l2, v2 = up(LABEL_FORMAT, entries, mid * LABEL_SIZE + 1)
    if t2 == t and h2 == h and l2 == l and v2 == v then return nil end
    if t2 < t or (t2 == t and (h2 < h or (h2 == h and (l2 < l or (l2 == l and v2 < v))))) then
      low = mid + 1
    else
      high = mid
    end
  end
  return low * LABEL_SIZE
end

local function learn_one(plan, events_key, key, body)
  local e = read_events(plan, events_key)
  local t, h, l, v, known, bits = up(LABEL_BODY_FORMAT, body)
  if not counted(e, t, sub(body, ORDER_ID_HIGH_AT, ORDER_SIZE)) then
    body = pk(LABEL_BODY_FORMAT, t, h, l, v, known, bits + LABEL_PARKED)
  end
  local text = read(key, plan.name .. ' labels')
  if text ~= '' then labels_ours(plan, text) end
  local lost = text ~= '' and up(TIME, text) or 0
  local entries = sub(text, LABELS_HEAD_SIZE + 1)
  local at = label_place(entries, t, h, l, v)
  if not at then return end
  entries = sub(entries, 1, at) .. body .. check(body) .. sub(entries, at + 1)
  local newest, drop = up(TIME, entries, #entries - LABEL_SIZE + 1), 0
  while up(TIME, entries, drop + 1) <= newest - plan.keep do
    lost = up(TIME, entries, drop + 1)
    drop = drop + LABEL_SIZE
  end
  while #entries - drop > plan.labels_max * LABEL_SIZE do
    lost = up(TIME, entries, drop + 1)
    drop = drop + LABEL_SIZE
  end
  call('SET', key, pk(TIME, lost) .. sub(entries, drop + 1), 'PX', plan.ttl)
end
