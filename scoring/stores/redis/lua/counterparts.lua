-- Whom an entity has met, by when each was last seen: a part for each counterpart column,
-- ascending in time.

local function seen_of(e, key, value)
  local entries = ours(value, e.plan.name .. ' seen')
  local parts = {}
  e.seen_key, e.seen_size = key, #entries
  if entries == '' then
    if e.n > 0 then corrupt(e.plan.name .. ' seen') end
    for i = 1, #e.plan.hashes do parts[i] = { '', 0 } end
  else
    local body = sub(entries, 1, -1 - DIGEST_SIZE)
    if check(body) ~= sub(entries, -DIGEST_SIZE) then corrupt(e.plan.name .. ' seen') end
    local at = 1
    for i = 1, #e.plan.hashes do
      local count, lost = up(PART_FORMAT, body, at)
      at = at + PART_SIZE
      parts[i] = { sub(body, at, at + count * SIGHTING_SIZE - 1), lost }
      at = at + count * SIGHTING_SIZE
    end
  end
  e.seen = parts
end

local function find_seen(entries, counterpart)
  local from = 1
  while true do
    local at = find(entries, counterpart, from, true)
    if not at then return nil end
    if (at - 1) % SIGHTING_SIZE == 0 then return at end
    from = at + 1
  end
end

-- Where the counterpart of the transaction at hand is, found once.
local function find_own(part, hash)
  if part.own ~= hash then
    part.own, part.bytes = hash, pk(COUNTERPART, hash)
    part.found = find_seen(part[1], part.bytes)
  end
  return part.found
end

local function seen_after(entries, instant)
  local low, high = 0, #entries / SIGHTING_SIZE
  local n = high
  while low < high do
    local mid = floor((low + high + 1) / 2)
    if up(TIME, entries, (mid - 1) * SIGHTING_SIZE + SIGHTING_TIME_AT) <= instant then low = mid
    else high = mid - 1 end
  end
  return n - low
end

-- Put a sighting in its place; the oldest go when they expire or are too many.
local function sight(e, part, hash, at)
  local entries, found = part[1], find_own(part, hash)
  if found and up(TIME, entries, found + (SIGHTING_TIME_AT - 1)) >= at then return end
  local entry = part.bytes .. pk(TIME, at)
  local from = found or #entries + 1
  local newest = entries ~= '' and up(TIME, entries, #entries - (TIME_SIZE - 1)) or at
  if newest <= at then
    newest = at
    if not found then entries = entries .. entry
    else entries = sub(entries, 1, found - 1) .. sub(entries, found + SIGHTING_SIZE) .. entry end
  else
    if found then entries = sub(entries, 1, found - 1) .. sub(entries, found + SIGHTING_SIZE) end
    local cut = #entries - seen_after(entries, at) * SIGHTING_SIZE
    entries = sub(entries, 1, cut) .. entry .. sub(entries, cut + 1)
    if cut < from then from = cut + 1 end
    newest = up(TIME, entries, #entries - (TIME_SIZE - 1))
  end
  local oldest, drop = newest - e.plan.keep, 0
  while drop < #entries and up(TIME, entries, drop + SIGHTING_TIME_AT) <= oldest do
    drop = drop + SIGHTING_SIZE
  end
  while #entries - drop > e.plan.distinct_max * SIGHTING_SIZE do
    part[2] = math.max(part[2], (up(TIME, entries, drop + SIGHTING_TIME_AT)))
    drop = drop + SIGHTING_SIZE
  end
  if drop > 0 then entries = sub(entries, drop + 1) end
  -- What goes may be told in the head, and so is the number of entries.
  if drop > 0 or #entries ~= #part[1] then from = 1 - PART_SIZE end
  part[1], part.from, part.own = entries, from, nil
end

-- Write what was sighted; what is before the first change stays.
local function write_seen(e)
  local out, at, low = {}, 0, nil
  for i, part in ipairs(e.seen) do
    out[2 * i - 1] = pk(PART_FORMAT, #part[1] / SIGHTING_SIZE, part[2])
    out[2 * i] = part[1]
    if part.from and not low then low = at + (PART_SIZE - 1) + part.from end
    at = at + PART_SIZE + #part[1]
  end
  local body = table.concat(out)
  local size = e.seen_size
  if size == 0 or at + DIGEST_SIZE < size then
    call('SET', e.seen_key, body .. check(body), 'KEEPTTL')
  elseif low then
    call('SETRANGE', e.seen_key, low, sub(body, low + 1) .. check(body))
  end
end
