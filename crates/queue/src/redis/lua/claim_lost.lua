-- Claims entries that were delivered and are pending for no consumer. No worker would read them again: their
-- consumer was deleted, or somebody acknowledged them by hand or created the group behind them.
--
-- KEYS[1]  jobs
-- ARGV[1]  group
-- ARGV[2]  consumer
-- ARGV[3]  the entry id to begin after; `-` for the first entry
-- ARGV[4]  the number of pending entries to pass at most, and of entries to claim
-- ARGV[5]  the idle time of claimed entries, ms
-- Returns  {the entry id to go on after, or '' at the end; the number of claimed entries}
--
-- The reclaimer takes over what is claimed, as after a reply that was lost. No pending entry is read: only the
-- gaps between them are. Lost entries are read with their bodies, so the script stops after 1 MB of these.
local stream, group, limit = KEYS[1], ARGV[1], tonumber(ARGV[4])
local last
-- Without a stream, it is an error.
for _, named in ipairs(redis.pcall('XINFO', 'GROUPS', stream)) do
  local is_ours = false
  for i = 1, #named, 2 do
    is_ours = is_ours or named[i] == 'name' and named[i + 1] == group
    last = is_ours and named[i] == 'last-delivered-id' and named[i + 1] or last
  end
end
if not last then
  return {'', 0}
end

local after, claimed, bytes = ARGV[3], 0, 0
-- Claims the entries between `after` and `to`. Returns false if it stopped earlier.
local function claim_until(to)
  while claimed < limit and bytes < 1048576 do
    local found = redis.pcall('XRANGE', stream, after == '-' and '-' or '(' .. after, to, 'COUNT', 1)
    -- A range after the greatest possible id is an error.
    if found.err or not found[1] then
      return true
    end
    after = found[1][1]
    redis.call('XCLAIM', stream, group, ARGV[2], 0, after, 'IDLE', ARGV[5], 'RETRYCOUNT', 1, 'FORCE', 'JUSTID')
    claimed = claimed + 1
    for _, part in ipairs(found[1][2]) do
      bytes = bytes + #part
    end
  end
  return false
end

local pending = redis.call('XPENDING', stream, group, after == '-' and '-' or '(' .. after, last, limit)
for _, row in ipairs(pending) do
  if not claim_until('(' .. row[1]) then
    return {after, claimed}
  end
  after = row[1]
end
if #pending < limit and claim_until(last) then
  return {'', claimed}
end
return {after, claimed}
