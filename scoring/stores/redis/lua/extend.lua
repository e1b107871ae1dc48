-- One record more: what a transaction adds to the running counts, sums, maxima and folds.

-- A sum in two limbs, and a number more.
local function plus(high, low, v)
  low = low + v
  if low >= 0 and low < LIMB then return high, low end
  local carry = floor(low / LIMB)
  return high + carry, low - carry * LIMB
end

-- An upper limb, which wraps, of a sum that may be below zero.
local function signed(high) return high < WRAP / 2 and high or high - WRAP end

-- What a sum has grown by from one record to another.
local function between(from, to, p)
  return signed((to[p] - from[p]) % WRAP) * LIMB + (to[p + 1] - from[p + 1])
end

-- Add to a record's running count or sum.
local function raise(c, r, v)
  local p = c.at
  if c.kind == KIND_SUM then
    local high, low = plus(r[p], r[p + 1], v)
    r[p], r[p + 1] = high % WRAP, low
  else
    r[p] = (r[p] + v) % WRAP
  end
end

-- Own normals: count, sum and squares of the amounts that are not unusual, since the
-- history began. Squares are added in two limbs, from halves of the amount.
local function extend_normals(plan, prev, r, fresh, x)
  for g = 1, #plan.normals do
    local c = plan.normals[g]
    local v = x[c.input]
    local n, t, h, l = c.n, c.s, c.h, c.l
    local count, th, tl, hh, hl, lh, ll = 0, 0, 0, 0, 0, 0, 0
    if not fresh then
      count, th, tl = prev[n], signed(prev[t]), prev[t + 1]
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
        local w = v < 0 and -v or v
        local a = floor(w / HALF)
        local d = w - a * HALF
        -- v^2 = a^2 HALF^2 + 2 a d HALF + d^2
        local m = a * d
        local mh = floor(m / HALF_CARRY)
        local rest = (m - mh * HALF_CARRY) * (2 * HALF) + d * d
        local carry = floor(rest / SQUARE_LIMB)
        hh, hl = plus(hh, hl, a * a * (HALF * HALF / SQUARE_LIMB) + mh + carry)
        lh, ll = plus(lh, ll, rest - carry * SQUARE_LIMB)
        -- These are no differences: they count from where the history began.
        local most = WRAP / 2
        if th >= most or th < -most or hh >= most or lh >= most or count >= most then
          corrupt(plan.name .. ' overflow')
        end
      end
    end
    r[n], r[t], r[t + 1] = count * sign, th % WRAP, tl
    r[h], r[h + 1], r[l], r[l + 1] = hh, hl, lh, ll
    if c.u then r[c.u] = unusual end
  end
end

-- A record's own part is `x` (plan.columns numbers, NaN none); `prev` the one before.
local function extend(e, prev, b, at, hi, lo, x)
  local plan = e.plan
  local columns, r = plan.columns, { unpack_(plan.zero) }  -- of its full size at once
  r[TIME_PLACE], r[ID_HIGH_PLACE], r[ID_LOW_PLACE] = at, hi, lo
  r[COUNT_PLACE] = (prev[COUNT_PLACE] + 1) % WRAP
  local fresh = b == 0 or at - prev[TIME_PLACE] > plan.horizon
  for i = 1, #columns do
    local c, v = columns[i], x[i]
    local p, kind = c.at, c.kind
    if kind == KIND_ADD then
      r[p] = v == v and (prev[p] + v) % WRAP or prev[p]
    elseif kind == KIND_SUM then
      local high, low = prev[p], prev[p + 1]
      if v == v then
        low = low + v
        if low < 0 or low >= LIMB then
          high, low = plus(high, 0, low)
          high = high % WRAP
        end
      end
      r[p], r[p + 1] = high, low
    elseif kind == KIND_MAX then
      if v ~= v then v = c.none end
      local j = b
      while j > 0 do
        local other, link = top_of(e, j, c)
        if other > v then break end
        j = link
      end
      r[p], r[p + 1] = v, j > 0 and b + 1 - j or 0
    elseif kind == KIND_HASH then
      r[p] = v == v and v or 0
    elseif kind == KIND_LAST then
      if v == v then r[p] = v elseif fresh then r[p] = c.none else r[p] = prev[p] end
    elseif kind == KIND_FIRST then
      r[p] = fresh and at or prev[p]
    end
  end
  extend_normals(plan, prev, r, fresh, x)
  return r, fresh
end
