-- The straightforward way: one sorted set of events for each entity, aggregated on
-- every call. KEYS: entities. ARGV: now, member, amount, then a counterpart each.
local out = {}
local now = tonumber(ARGV[1])
local windows = { 3600000, 86400000, 604800000, 2592000000 }
for k = 1, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[k], '-inf', now - windows[4])
  redis.call('ZADD', KEYS[k], 'NX', now, ARGV[2] .. ':' .. ARGV[3] .. ':' .. ARGV[3 + k])
  for w = 1, 4 do
    local events = redis.call('ZRANGEBYSCORE', KEYS[k], '(' .. (now - windows[w]), now)
    local sum, largest, distinct, met = 0, 0, 0, {}
    for i = 1, #events do
      local amount, other = string.match(events[i], ':(%d+):(.*)$')
      amount = tonumber(amount)
      sum = sum + amount
      if amount > largest then largest = amount end
      if not met[other] then met[other] = true; distinct = distinct + 1 end
    end
    out[#out + 1] = #events
    out[#out + 1] = sum
    out[#out + 1] = largest
    out[#out + 1] = distinct
  end
end
return struct.pack('<' .. string.rep('d', #out), unpack(out))
