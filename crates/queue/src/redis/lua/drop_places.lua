-- Ends the places of jobs that are nowhere, so that the next jobs of their lines have their turns. First looks for the jobs in the
-- whole stream, in several calls.
--
-- KEYS[1]  jobs
-- KEYS[2]  waiting
-- KEYS[3]  order
-- KEYS[4]  order_waiting
-- KEYS[5]  order_stopped
-- ARGV[1]  the mark of the shard
-- ARGV[2]  the entry id to begin after; `-` for the first entry
-- ARGV[3]  the number of entries to read at most
-- ARGV[4…] the places
-- Returns  {the entry id to go on after, or '' after the last call; before the last call, the places whose jobs were not found so far; after
--          it, those that have ended}
-- Uses     waiting, trust, line
--
-- An entry that is added while the calls are made is after all others, so that the last call finds it. That call changes the lines.
local from, sought, bytes, count, seen = ARGV[2] == '-' and '-' or '(' .. ARGV[2], {}, 0, 4, ''
for i = 4, #ARGV do
  sought[ARGV[i]] = true
end
local read, is_end = 0, false
repeat
  local page = redis.pcall('XRANGE', KEYS[1], from, '+', 'COUNT', count)
  -- A range after the greatest possible id is an error.
  for _, entry in ipairs(page) do
    seen, from = entry[1], '(' .. entry[1]
    local place = place_of_entry(entry[1], entry[2], ARGV[1])
    if place then
      sought[place] = nil
    end
    for _, part in ipairs(entry[2]) do
      bytes = bytes + #part
    end
  end
  read, is_end = read + #page, #page < count
  count = math.max(1, math.min(64, math.floor(65536 * read / math.max(bytes, 1))))
until is_end or read >= tonumber(ARGV[3]) or bytes > 1048576
local left = {}
for i = 4, #ARGV do
  local place = ARGV[i]
  if sought[place] then
    if not is_end then
      left[#left + 1] = place
    elseif redis.call('HEXISTS', KEYS[2], job_in(place)) == 0 and redis.call('HEXISTS', KEYS[4], job_in(place)) == 0
      and redis.call('HEXISTS', KEYS[5], place) == 0 then
      -- It changes nothing. Redis allows it over maxmemory, and then allows the script's later writes too.
      redis.call('HDEL', KEYS[4], '')
      leave_lines(KEYS[1], KEYS[3], KEYS[4], {place})
      left[#left + 1] = place
    end
  end
end
return {is_end and '' or seen, left}
