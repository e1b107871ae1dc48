-- Whose an id is: the claim or decision under its key, and the mark that the history
-- beside it is there.

-- A claim's kind and the payload hash that follows it; '' where nothing of ours is kept.
local function claim_of(text)
  local kind = type(text) == 'string' and sub(text, 1, 1) or ''
  if kind == '' or not find(CLAIM_KINDS, kind, 1, true) then return '' end
  return kind, sub(text, CLAIM_HASH_AT, CLAIM_BODY_AT - 1)
end

local function body_of(text) return sub(text, CLAIM_BODY_AT) end

-- Whether a decision is kept that is still to be observed, and its outcome, 0 where that
-- is not to be counted.
local function unobserved(kind)
  local outcome = tonumber(kind)
  return kind == CLAIM_UNOBSERVED or outcome ~= nil, outcome or 0
end

-- What the key of a decision holds, for the payload with this hash: either the
-- answer to give, or what is still to be counted: the decision that is kept unobserved
-- (nil: none), its outcome, and what is wrong with the key.
local function claimed(key, mode, hash)
  local text = pcall_('GET', key)
  if not text then return nil, nil, 0, '' end
  local kind, own = claim_of(text)
  if kind == '' then return nil, nil, 0, 'decision' end
  if own ~= hash then return { MODE_CONFLICT, 0, '', '', '', '' } end
  if kind == CLAIM_DECIDED and mode ~= MODE_DRY_RUN then
    return { MODE_REPEATED, 0, '', '', '', body_of(text) }
  end
  local open, outcome = unobserved(kind)
  if open then return nil, body_of(text), outcome, '' end
  if kind == CLAIM_OBSERVED and mode ~= MODE_DRY_RUN then
    local past = cmsgpack.unpack(body_of(text))
    if past[1] == MODE_COUNT then past[1] = MODE_REPEATED end
    if type(past[3]) == 'table' then past[3] = doubles(past[3]) end
    past[6] = ''
    return past
  end
  return nil, nil, 0, ''
end

-- The next place in the order of processing, 0 on a dry run; nil in a store that was
-- wiped or is being rebuilt: there is no number (connecting puts the first), and
-- nothing may be read or counted before its history is back.
local function next_place(key, dry)
  if dry then return tonumber(pcall_('GET', key) or nil) and 0 end
  local seq = pcall_('INCR', key)
  if type(seq) == 'table' then return nil end
  if seq == 1 then call('SET', key, MARK_LOST); return nil end
  return seq
end

local function no_history()
  return redis.error_reply(ERROR_LOST .. ' the history is not there')
end

-- What to answer where a mark of the history is no number: nothing may be written there.
-- A call without a mark is one of a cluster, where its keys are on other servers.
local function lost(mark)
  if not mark then return nil end
  local found = pcall_('GET', mark)
  if found == MARK_REBUILDING then
    return redis.error_reply(ERROR_REBUILDING .. ' the history is being put back')
  end
  return not tonumber(found or nil) and no_history() or nil
end
