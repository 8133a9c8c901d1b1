-- Reads entries of a stream with their values truncated, so that large bodies stay in Redis.
--
-- KEYS[1]  the stream
-- KEYS[2]  mark; the same key as KEYS[1] for a stream that only scripts write to
-- ARGV[1]  the group whose consumers are returned as holders, or '' for none
-- ARGV[2]  `first`: ascending from the first; `last`: descending from the last; `held`: the group's pending
--          entries
-- ARGV[3]  the lowest id
-- ARGV[4]  the highest id
-- ARGV[5]  the number of entries at most
-- ARGV[6]  the number of bytes of each value at most
-- Returns  a list of {entry id, fields, holder, idle ms, delivery count}; the holder is '' for an entry
--          without one
-- Uses     trust, oldest
local most, mark = tonumber(ARGV[6]), KEYS[2] ~= KEYS[1] and redis.call('GET', KEYS[2])
-- Of all values so far.
local bytes = 0

local function row(entry, pending)
  local fields = entry[2]
  if KEYS[2] ~= KEYS[1] then
    fields = trusted(fields, mark)
  end
  for i = 2, #fields, 2 do
    local value = fields[i]
    bytes = bytes + #value
    if #value > most then
      -- Of a history, the last attempts are kept.
      fields[i] = fields[i - 1] == '_history' and most > 0 and string.sub(value, -most) or string.sub(value, 1, most)
    end
  end
  return {entry[1], fields, pending and pending[2] or '', pending and pending[3] or 0, pending and pending[4] or 0}
end

local rows = {}
if ARGV[2] == 'held' then
  local held = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[4], ARGV[5])
  if held.err then
    -- Without a group, no entry has a holder.
    return string.find(held.err, 'NOGROUP', 1, true) and {} or held
  end
  for _, pending in ipairs(held) do
    local entry = redis.call('XRANGE', KEYS[1], pending[1], pending[1])[1]
    if entry then
      rows[#rows + 1] = row(entry, pending)
    end
  end
  return rows
end
local is_last, from, to = ARGV[2] == 'last', ARGV[3], ARGV[4]
local final = to
if is_last then
  final = oldest(KEYS[1], from, to)
  if not final then
    return rows
  end
end
-- Up to 8 at once, fewer where they are large: many large entries would fill the server's memory.
local left, count = tonumber(ARGV[5]), 1
while left > 0 do
  local page
  if is_last then
    page = redis.call('XREVRANGE', KEYS[1], to, from, 'COUNT', math.min(count, left))
  else
    page = redis.call('XRANGE', KEYS[1], from, to, 'COUNT', math.min(count, left))
  end
  for _, entry in ipairs(page) do
    local pending
    if ARGV[1] ~= '' then
      local found = redis.pcall('XPENDING', KEYS[1], ARGV[1], entry[1], entry[1], 1)
      pending = not found.err and found[1] or nil
    end
    rows[#rows + 1] = row(entry, pending)
  end
  local end_of_page = page[#page]
  if not end_of_page or end_of_page[1] == final then
    return rows
  elseif is_last then
    to = '(' .. end_of_page[1]
  else
    from = '(' .. end_of_page[1]
  end
  left = left - #page
  count = math.max(1, math.min(8, math.floor(65536 * #rows / math.max(bytes, 1))))
end
return rows
