-- The calls of a cluster, where an entity and a claim are on different servers: reach and
-- claim, then (seldom) late, then number and count, then keep.

-- No entity has an event that is newer than what `newest` holds.
function calls.reach(processed, newest, time)
  if not tonumber(pcall_('GET', processed) or nil) then return no_history() end
  local before = call('GET', newest)
  if before and tonumber(before) < tonumber(time) then call('SET', newest, time) end
  return before or ''
end

function calls.claim(claim, mark, mode, payload_hash)
  local answer, decision, outcome, wrong = claimed(claim, mode, payload_hash)
  if answer then return answer end
  local refusal = lost(mark)
  if refusal then return refusal end
  if mode ~= MODE_DRY_RUN and not decision then
    call('SET', claim, CLAIM_OPEN .. payload_hash, 'PX', DEDUPE_MS)
  end
  return { MODE_OPEN, outcome, decision or '', '', wrong, '' }
end

function calls.late(events, order, plan)
  local e = {}
  e.e = shield(e, read_events, PLANS[byte(plan)], events)
  return placed({ e }, up(TIME, order), sub(order, ORDER_ID_HIGH_AT)) and 1 or 0
end

function calls.number(processed, count)
  local seq = pcall_('INCRBY', processed, count)
  if type(seq) == 'table' then return no_history() end
  if seq == tonumber(count) then
    call('SET', processed, MARK_LOST)
    return no_history()
  end
  return seq
end

function calls.count(keys, args, told)
  local mode, plan, outcome, at, hi, lo = up(TOLD_FORMAT, told)
  local order = sub(told, TOLD_TIME_AT)
  local found = entities_of(keys, COUNT_KEYS, args, COUNT_ARGS, plan, outcome)
  placed(found, at, sub(order, ORDER_ID_HIGH_AT))
  local values, marked, wrong = gather(found, observe_one, at, hi, lo, mode == MODE_COUNT)
  local it = found[1]
  if mode == MODE_COUNT and outcome > 0 and it.present and not it.corrupt then
    -- Counted before its outcome was.
    shield(it, settle_one, it.plan, keys[1], order, it.x)
  end
  if marked == '' and wrong == '' then return doubles(values) end
  return { doubles(values), marked, wrong }
end

function calls.keep(claim, mark, payload_hash, done, seq, values, inexact, wrong, outcome)
  local refusal = lost(mark)
  if refusal then return refusal end
  local kind, own = claim_of(pcall_('GET', claim))
  if unobserved(kind) then
    if own == payload_hash and (kind == CLAIM_UNOBSERVED or outcome == '' or kind == outcome) then
      call('SETRANGE', claim, 0, CLAIM_DECIDED)
    end
  elseif kind == CLAIM_OPEN or kind == '' then
    local seen = { done, tonumber(seq), values, inexact, wrong }
    call('SET', claim, CLAIM_OBSERVED .. payload_hash .. cmsgpack.pack(seen), 'PX', DEDUPE_MS)
  end
  return 1
end

function calls.settle(events, outcome, order, plan, inputs)
  plan = PLANS[byte(plan)]
  shield({}, settle_one, plan, events, order, inputs_of(plan, inputs, tonumber(outcome)))
  return 1
end
