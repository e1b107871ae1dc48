-- What the server lends a call, and what a call says of damage.

local up, pk, call, pcall_, sub, rep, find, byte, floor, unpack_
local NAN = 0 / 0

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

-- The digest that ends a text of ours.
local function check(body)
  return sub(redis.sha1hex(body), 1, DIGEST_SIZE)
end

-- Corrupt state is raised as a table and caught once for each entity.
local function corrupt(what) error({ corrupt = what }) end

-- Run a step for an entity; corrupt state is noted, anything else is a bug.
local function shield(it, step, ...)
  local ok, e = pcall(step, ...)
  if ok then return e end
  if type(e) ~= 'table' or not e.corrupt then error(e) end
  it.corrupt = e.corrupt
end

local function ours(value, what)
  if not value then corrupt(what) end
  return value
end

local function read(key, what)
  local value = pcall_('GET', key)
  if type(value) == 'table' then corrupt(what) end
  return value or ''
end

-- What keys[first] to keys[last] hold, in one call: '' where there is nothing,
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
