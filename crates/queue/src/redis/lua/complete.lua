-- Removes succeeded jobs.
--
-- KEYS[1]  jobs
-- KEYS[2]  stats
-- KEYS[3]  log, and KEYS[4] sizes; missing if no log is kept
-- ARGV[1]  group
-- ARGV[2]  consumer
-- ARGV[3]  an upper bound of the entries that the consumer holds
-- ARGV[4]  delivery count of all the entries
-- ARGV[5]  how many succeeded jobs of earlier calls to count with those of this one; '' to count nothing: a later call does
-- ARGV[6…] with a log: how long a record is kept, ms; how many jobs; how many bytes; a record for each entry, a line each
-- ARGV[6…], or ARGV[10…] with a log: entry id; in ascending order; at most 256
-- Returns  a text with a letter for each entry: o finished, l lost to another delivery, g gone; or a list of this text and
--          why Redis refuses the records
--
-- A repeated call returns g: nothing is pending any more.
-- Uses     clock, whole, stream, count, log, settled
local start = KEYS[3] and 10 or 6
local rows = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[start], ARGV[#ARGV], ARGV[3], ARGV[2])
local count, row, held = tonumber(ARGV[4]), 1, true
-- Both are in ascending order. Nearly always, the consumer still holds all entries: that case needs no table.
for i = start, #ARGV do
  while rows[row] and rows[row][1] ~= ARGV[i] do
    row = row + 1
  end
  if not rows[row] or rows[row][4] ~= count then
    held = false
    break
  end
end
local finished, first, letters, records = ARGV, start, nil, ARGV[9]
if held then
  letters = string.rep('o', #ARGV - start + 1)
else
  local counts, each = {}, {}
  for _, pending in ipairs(rows) do
    counts[pending[1]] = pending[4]
  end
  finished, first = {}, 1
  for i = start, #ARGV do
    local id = ARGV[i]
    if counts[id] == count then
      each[#each + 1] = 'o'
      finished[#finished + 1] = id
    elseif #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1) == 0 then
      each[#each + 1] = 'g'
    else
      each[#each + 1] = 'l'
    end
  end
  letters = table.concat(each)
  if KEYS[3] then
    local kept, i = {}, 0
    for record in string.gmatch(records, '[^\n]*\n') do
      i = i + 1
      kept[#kept + 1] = each[i] == 'o' and record or nil
    end
    records = table.concat(kept)
  end
end
if #finished >= first then
  -- The first XACK changes nothing: a missing right shows before an entry is deleted. Else a heartbeat would drop what is
  -- pending without an entry, and a repeated call could neither count nor record the job.
  local function leave(stream, group, ...)
    redis.call('XACK', stream, group, '0-0')
    leave_stream(stream, group, ...)
  end
  local log = KEYS[3] and {KEYS[3], KEYS[4], ARGV[6], ARGV[7], ARGV[8], records}
  local jobs = #finished - first + 1
  local refusal = settled(nil, nil, log, jobs, leave, KEYS[1], ARGV[1], unpack(finished, first))
  if ARGV[5] ~= '' then
    count_jobs(KEYS[2], 0, jobs + ARGV[5])
  end
  return refusal and {letters, refusal} or letters
end
return letters
