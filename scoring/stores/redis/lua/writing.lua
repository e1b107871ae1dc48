-- Counting a transaction: at the end of its entity's log, or late, before what came since.

-- Whether a record brought a place of its own; one of the same millisecond may have
-- passed its place on.
local function is_located(plan, r, prev)
  for _, c in ipairs(plan.columns) do
    if c.kind == KIND_LAST and c.own_time then
      if r[c.own] ~= r[TIME_PLACE] then return false end
      if prev[c.own] ~= r[TIME_PLACE] or r[c.at] ~= prev[c.at] then return true end
    end
  end
  return false
end

-- What record i itself brought; `n` events are behind it, more when merged.
local function item_of(e, i)
  local plan, r, prev = e.plan, record(e, i), record(e, i - 1)
  local x, unusual, located = {}, {}, is_located(plan, r, prev)
  for k, c in ipairs(plan.columns) do
    local v = r[c.at]
    if c.kind == KIND_HASH then x[k] = v == 0 and NAN or v
    elseif c.kind == KIND_MAX then x[k] = v == c.none and NAN or v
    elseif c.kind == KIND_LAST then
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
  local n = (r[COUNT_PLACE] - prev[COUNT_PLACE]) % WRAP
  return {
    at = r[TIME_PLACE], hi = r[ID_HIGH_PLACE], lo = r[ID_LOW_PLACE],
    n = n, x = x, old = r, unusual = unusual,
  }
end

local function folds_stand(plan, r, prev, item)
  local old = item.old
  for _, c in ipairs(plan.columns) do
    if c.kind == KIND_LAST or c.kind == KIND_FIRST then r[c.at] = old[c.at] end
  end
  for g, c in ipairs(plan.normals) do
    -- What the late event would have changed cannot be told any more; without any
    -- amount of their own, merged events leave what was before them.
    if old[c.n] ~= 0 then
      r[c.n] = -math.abs(old[c.n])
      for _, p in ipairs({ c.s, c.h, c.l }) do r[p], r[p + 1] = old[p], old[p + 1] end
    end
    if c.u then r[c.u] = (prev[c.u] + item.unusual[g]) % WRAP end
  end
end

-- One event more among the ones that a merged record counts for.
local function absorb(plan, item, x)
  for k, c in ipairs(plan.columns) do
    local most = item.x[k]
    if c.kind == KIND_MAX and x[k] == x[k] and (most ~= most or most <= x[k]) then
      item.x[k] = x[k]
    end
  end
end

-- Running counts and sums of a record that a late event now comes before.
local function raise_all(plan, r, old, x)
  r[COUNT_PLACE] = (old[COUNT_PLACE] + 1) % WRAP
  for k, c in ipairs(plan.columns) do
    if c.kind == KIND_ADD or c.kind == KIND_SUM then
      r[c.at] = old[c.at]
      if c.kind == KIND_SUM then r[c.at + 1] = old[c.at + 1] end
      if x[k] == x[k] then raise(c, r, x[k]) end
    end
  end
end

-- Write what comes after a late event anew: all of it rests on what came before. The
-- event gets a record of its own, except beside merged ones, some of which may be
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
    b = until_(e, cur[TIME_PLACE], e.n)
    cur = extend(e, record(e, b), b, cur[TIME_PLACE], cur[ID_HIGH_PLACE], cur[ID_LOW_PLACE], x)
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
