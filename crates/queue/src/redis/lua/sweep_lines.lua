-- Reads a page of the lines of order keys, and looks for the job that has the turn of each. If it waits for its turn, moves it to
-- the stream. If it is nowhere, returns its place: it may be in the stream under another entry id.
--
-- KEYS[1]  jobs
-- KEYS[2]  waiting
-- KEYS[3]  order
-- KEYS[4]  order_waiting
-- KEYS[5]  order_stopped
-- ARGV[1]  the line to begin after, or '' for the first one
-- ARGV[2]  the number of lines at most
-- Returns  {the line to go on after, or '' at the end; the number of jobs moved; the places whose jobs were not found}
-- Uses     waiting, trust, line
--
-- It stops after 1 MB of entries.
local from, after, moved, bytes, missing = ARGV[1] == '' and '[0' or '(' .. ARGV[1] .. '~', '', 0, 0, {}
for _ = 1, tonumber(ARGV[2]) do
  local first = redis.call('ZRANGEBYLEX', KEYS[3], from, '(g', 'LIMIT', 0, 1)[1]
  if not first or bytes > 1048576 then
    after = first and after or ''
    break
  end
  after = string.sub(first, 1, 16)
  from = '(' .. after .. '~'
  local job_id = job_in(first)
  if redis.call('HEXISTS', KEYS[4], job_id) == 1 then
    -- It changes nothing. Redis allows it over maxmemory, and then allows the script's later writes too.
    redis.call('HDEL', KEYS[4], '')
    moved = moved + (call_first(KEYS[1], KEYS[3], KEYS[4], first) and 1 or 0)
  elseif redis.call('HEXISTS', KEYS[5], first) == 0 and redis.call('HEXISTS', KEYS[2], job_id) == 0 then
    -- It is an error for a text that is no entry id.
    local entry = redis.pcall('XRANGE', KEYS[1], job_id, job_id)[1]
    if not entry then
      missing[#missing + 1] = first
    end
    for _, part in ipairs(entry and entry[2] or {}) do
      bytes = bytes + #part
    end
  end
end
return {after, moved, missing}
