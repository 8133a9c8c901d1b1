-- Reads entries of a stream with their values cut, so that large bodies stay where they are.
--
-- KEYS[1]  the stream
-- ARGV[1]  the group by which it is told who holds an entry, or '' for nobody
-- ARGV[2]  `first`: from the first on; `last`: from the last back; `held`: the group's pending ones
-- ARGV[3]  the lowest id
-- ARGV[4]  the highest id
-- ARGV[5]  at most how many
-- ARGV[6]  at most how many bytes of each value
-- Returns  a list of {entry id, fields, holder, idle ms, delivery count}; the holder is '' where nobody is
local most = tonumber(ARGV[6])

local function row(entry, pending)
  local fields = entry[2]
  for i = 2, #fields, 2 do
    fields[i] = string.sub(fields[i], 1, most)
  end
  return {entry[1], fields, pending and pending[2] or '', pending and pending[3] or 0, pending and pending[4] or 0}
end

local rows = {}
if ARGV[2] == 'held' then
  local held = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[4], ARGV[5])
  if held.err then
    -- Where there is no group, nobody holds anything.
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
-- One at a time: many large ones at once would fill the server's memory.
local from, to = ARGV[3], ARGV[4]
while #rows < tonumber(ARGV[5]) do
  local entry
  if ARGV[2] == 'last' then
    entry = redis.call('XREVRANGE', KEYS[1], to, from, 'COUNT', 1)[1]
  else
    entry = redis.call('XRANGE', KEYS[1], from, to, 'COUNT', 1)[1]
  end
  if not entry then
    return rows
  end
  local pending
  if ARGV[1] ~= '' then
    local found = redis.pcall('XPENDING', KEYS[1], ARGV[1], entry[1], entry[1], 1)
    pending = not found.err and found[1] or nil
  end
  rows[#rows + 1] = row(entry, pending)
  if entry[1] == (ARGV[2] == 'last' and ARGV[3] or ARGV[4]) then
    return rows
  elseif ARGV[2] == 'last' then
    to = '(' .. entry[1]
  else
    from = '(' .. entry[1]
  end
end
return rows
