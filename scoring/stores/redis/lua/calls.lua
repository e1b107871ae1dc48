-- The calls of a store on one server. What each is given is listed in Python, beside what
-- it returns: its named keys and arguments come as parameters, in that order.

local calls = {}

function calls.observe(keys, args, claim, processed, mode, payload_hash, order, plans)
  local step = observe_one
  local answer, decision, outcome, wrong_claim = claimed(claim, mode, payload_hash)
  if answer then return answer end
  if mode == MODE_UNSEEN then
    mode, step = MODE_COUNT, decision and count_unseen or observe_one
  end
  local seq = next_place(processed, mode == MODE_DRY_RUN)
  if not seq then return lost(processed) end
  local at, hi, lo = up(ORDER_FORMAT, order)
  local found = entities_of(keys, OBSERVE_KEYS, args, OBSERVE_ARGS, plans, outcome)
  local late = placed(found, at, sub(order, ORDER_ID_HIGH_AT))
  local done = late and mode == MODE_COUNT and MODE_LATE or mode
  local values, marked, wrong = gather(found, step, at, hi, lo, done == MODE_COUNT)
  if wrong_claim ~= '' then wrong = wrong == '' and wrong_claim or wrong .. ',' .. wrong_claim end
  if mode == MODE_DRY_RUN then return { MODE_DRY_RUN, 0, doubles(values), marked, wrong, '' } end
  local result = { done, seq, values, marked, wrong }
  local kept = decision and CLAIM_DECIDED .. payload_hash .. decision
    or CLAIM_OBSERVED .. payload_hash .. cmsgpack.pack(result)
  call('SET', claim, kept, 'PX', DEDUPE_MS)
  result[3] = step == observe_one and doubles(values) or ''
  result[6] = decision or ''
  return result
end

function calls.forecast(keys, args, order, after, most, plans)
  local at, id_hash, since = up(TIME, order), sub(order, ORDER_ID_HIGH_AT), up(TIME, after)
  local found, times = entities_of(keys, FORECAST_KEYS, args, FORECAST_ARGS, plans, 0), {}
  most = tonumber(most)
  local given = most == 0
  if given then
    most = #after / TIME_SIZE
    for i = 1, #after, TIME_SIZE do times[#times + 1] = up(TIME, after, i) end
  end
  for k, it in ipairs(found) do
    if it.e then
      local b, present = place(it.e, at, id_hash)
      it.b = present and b + 1 or b
      if not given then
        add_leaving(it, args[FORECAST_ARGS + #plans + k], since, most, times)
      end
    end
  end
  table.sort(times)
  local instants, packs, last = {}, {}, nil
  for _, now in ipairs(times) do
    if #instants == most then break end
    if now ~= last then
      instants[#instants + 1], last = pk(TIME, now), now
      packs[#packs + 1] = doubles((gather(found, forecast_one, now)))
    end
  end
  return { table.concat(instants), table.concat(packs) }
end

function calls.record(
  keys, args, claim, outbox, mark, payload_hash, decision, field, logged, outcome, order, plans
)
  local refusal = lost(mark)
  if refusal then return refusal end
  local coded = outcome
  outcome = tonumber(outcome)
  local text = pcall_('GET', claim)
  local kind, own = claim_of(text)
  local observed = kind == CLAIM_OBSERVED
  if kind ~= '' then
    local open = observed or kind == CLAIM_OPEN
    if own ~= payload_hash then return { RECORDED_CONFLICT, open and '' or body_of(text) } end
    if not open then
      local body = body_of(text)
      if body == decision then return { RECORDED_OURS, '' } end
      return { RECORDED_OTHER, body }
    end
  end
  local is_counted = observed and outcome > 0
    and cmsgpack.unpack(body_of(text))[1] ~= MODE_LATE
  -- In a cluster entities are on other servers: they count the outcome in a call of their own.
  local elsewhere = is_counted and not plans
  local now = observed and not elsewhere and CLAIM_DECIDED
    or outcome > 0 and coded or CLAIM_UNOBSERVED
  call('SET', claim, now .. payload_hash .. decision, 'PX', DEDUPE_MS)
  if #logged > 0 then call('HSET', outbox, field, logged) end
  if elsewhere then return { RECORDED_OURS, '', 1 } end
  if is_counted then
    for i = 1, #plans do
      local plan = PLANS[byte(plans, i)]
      local x = inputs_of(plan, args[RECORD_ARGS + i], outcome)
      -- Damage is named by the next look at the entity; the decision is kept.
      shield({}, settle_one, plan, keys[RECORD_KEYS + i], order, x)
    end
  end
  return { RECORDED_OURS, '' }
end

-- Keep a follow-up under its name, the first of each; what is damaged is begun anew.
local function noted(follow_ups, name, note, ttl_ms)
  local kept = pcall_('HGET', follow_ups, name)
  if type(kept) == 'table' then call('DEL', follow_ups); kept = false end
  if kept then
    return sub(kept, 1, NOTE_STATE_AT - 1) == sub(note, 1, NOTE_STATE_AT - 1) and 1 or 0
  end
  if call('HLEN', follow_ups) >= NOTES_MAX then return -1 end
  call('HSET', follow_ups, name, note)
  call('PEXPIRE', follow_ups, ttl_ms)
  return 1
end

function calls.note(follow_ups, mark, name, note, ttl_ms)
  return lost(mark) or noted(follow_ups, name, note, ttl_ms)
end

function calls.attest(verdicts, mark, follow_ups, told, ttl_ms, name, note)
  local refusal = lost(mark)
  if refusal then return refusal end
  local said = pcall_('GET', verdicts)
  if type(said) ~= 'string' or #said % VERDICT_SIZE ~= 0 then said = '' end
  local at = #said
  while at > 0 do
    local version = sub(said, at - VERDICT_SIZE + 1, at - 1)
    if version == sub(told, 1, -2) then return sub(said, at, at) == sub(told, -1) and 1 or 0 end
    if version < sub(told, 1, -2) then break end
    at = at - VERDICT_SIZE
  end
  said = sub(said, 1, at) .. told .. sub(said, at + 1)
  call('SET', verdicts, sub(said, -VERDICT_SIZE * VERDICTS_MAX), 'PX', ttl_ms)
  noted(follow_ups, name, note, ttl_ms)
  return 1
end

function calls.learn(keys, args, plans)
  local refusal, wrong = lost(keys[2 * #plans + 1]), {}
  if refusal then return refusal end
  for i = 1, #plans do
    local plan, it = PLANS[byte(plans, i)], {}
    shield(it, learn_one, plan, keys[2 * i - 1], keys[2 * i], args[LEARN_ARGS + i])
    wrong[#wrong + 1] = it.corrupt
  end
  return table.concat(wrong, ',')
end

-- Whether an event is counted already; from now on it is. What is damaged is begun anew.
local function was_counted(counted_, name, ttl_ms)
  local is = pcall_('HEXISTS', counted_, name)
  if is == 1 then return true end
  if type(is) == 'table' then call('DEL', counted_) end
  call('HSET', counted_, name, '')
  call('PEXPIRE', counted_, ttl_ms)
  return false
end

function calls.happen(keys, args, order, plans, again, name, ttl_ms)
  local own = 0
  for i = 1, #plans do
    own = own + 1 + (#PLANS[byte(plans, i)].hashes > 0 and 1 or 0)
  end
  local refusal, wrong = lost(keys[own + 2]), {}
  if refusal then return refusal end
  local at, hi, lo = up(ORDER_FORMAT, order)
  local found = entities_of(keys, HAPPEN_KEYS, args, HAPPEN_ARGS, plans, 0)
  again = was_counted(keys[own + 1], name, ttl_ms) or again == '1'
  for k = 1, #found do
    local it = found[k]
    if not it.corrupt then
      shield(it, happen_one, it, at, hi, lo, sub(order, ORDER_ID_HIGH_AT), again)
    end
    wrong[#wrong + 1] = it.corrupt
  end
  return table.concat(wrong, ',')
end

-- Writes what the key has already, as any call of ours may have to: a store that answers PING
-- and refuses writes, or our program, fails here as it does there.
function calls.probe(mark)
  local wrong = lost(mark)
  if wrong then return wrong end
  call('SET', mark, call('GET', mark), 'KEEPTTL')
  return 1
end
