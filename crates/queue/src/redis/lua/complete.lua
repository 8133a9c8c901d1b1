-- Removes succeeded jobs. A success is final: it ends a job also if another worker has taken the job over by then, whose own
-- settlement finds it gone. Only the jobs of a line must still be held, so that none is attempted beside a later one of its line.
--
-- KEYS[1]  jobs
-- KEYS[2]  stats
-- KEYS[3]  log, and KEYS[4] sizes; missing if no log is kept
-- ARGV[1]  group
-- ARGV[2]  consumer
-- ARGV[3]  an upper bound of the entries that the consumer holds
-- ARGV[4]  delivery count of all the entries if they must still be held; '' if not
-- ARGV[5]  how many succeeded jobs of earlier calls to count with those of this one; '' to count nothing: a later call does
-- ARGV[6…] with a log: how long a record is kept, ms; how many jobs; how many bytes; a record for each entry, a line each
-- ARGV[6…], or ARGV[10…] with a log: entry id; in ascending order; at most 256
-- Returns  a text with a letter for each entry: o finished, l lost to another delivery, g gone; or a list of this text and
--          why Redis refuses the records
--
-- A repeated call returns g: nothing is there any more.
-- Uses     clock, whole, count, log, settled
local start = KEYS[3] and 10 or 6
local log = KEYS[3] and {KEYS[3], KEYS[4], ARGV[6], ARGV[7], ARGV[8], ARGV[9]}
local finished, first = ARGV, start
local letters = string.rep('o', #ARGV - start + 1)

-- Judges each entry. Only those with o have ended, and keep their records.
local function judge(letter_for)
  local each, kept = {}, {}
  local next_record = log and string.gmatch(log[6], '[^\n]*\n')
  finished, first = {}, 1
  for i = start, #ARGV do
    local letter, record = letter_for(ARGV[i]), next_record and next_record()
    each[#each + 1] = letter
    if letter == 'o' then
      finished[#finished + 1] = ARGV[i]
      kept[#kept + 1] = record
    end
  end
  letters = table.concat(each)
  if log then
    log[6] = table.concat(kept)
  end
end

if ARGV[4] ~= '' then
  local counts = {}
  for _, row in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[start], ARGV[#ARGV], ARGV[3], ARGV[2])) do
    counts[row[1]] = row[4]
  end
  judge(function(id)
    if counts[id] == tonumber(ARGV[4]) then
      return 'o'
    end
    return #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1) > 0 and 'l' or 'g'
  end)
elseif log then
  -- An error if the group is missing. Without it the stream may be, which `settled` would set to a text.
  redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1)
end
if #finished < first then
  return letters
end

local function leave(stream, group, ...)
  -- Changes nothing: a missing right shows before an entry is acknowledged.
  redis.call('XDEL', stream, '0-0')
  if redis.call('XACK', stream, group, ...) == #finished - first + 1 then
    redis.call('XDEL', stream, ...)
  else
    -- Not all were pending: some have ended before, or the group is another one by now.
    judge(function(id)
      return redis.call('XDEL', stream, id) == 1 and 'o' or 'g'
    end)
  end
  return #finished - first + 1
end
local refusal = settled(nil, nil, log, nil, leave, KEYS[1], ARGV[1], unpack(finished, first))
if #finished >= first and ARGV[5] ~= '' then
  count_jobs(KEYS[2], 0, #finished - first + 1 + ARGV[5])
end
return refusal and {letters, refusal} or letters
