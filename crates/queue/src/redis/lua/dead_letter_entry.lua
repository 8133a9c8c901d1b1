-- Dead-letters a job whose fields did not leave Redis, because they are too large or may have killed its workers.
--
-- KEYS[1]  jobs
-- KEYS[2]  dead; rejected for an entry that is not a job
-- KEYS[3]  sizes
-- KEYS[4]  result; the same key as KEYS[2] without a result
-- KEYS[5]  stats
-- KEYS[6]  log, and KEYS[7] sizes; missing if no log is kept
-- ARGV[1]  group
-- ARGV[2]  consumer
-- ARGV[3]  entry id
-- ARGV[4]  delivery count
-- ARGV[5]  how many dead letters are kept; the oldest are deleted
-- ARGV[6]  how many bytes of them are kept, about
-- ARGV[7]  how long they are kept, ms
-- ARGV[8]  how long the result is kept, ms, or 0 for no result
-- ARGV[9]  the result
-- ARGV[10] how many bytes of the entry the dead letter has, if they go into one field `_raw`
-- ARGV[11] 1 if the dead letter has the entry's fields, unless a script cannot carry them; else 0
-- ARGV[12] the mark of the shard
-- ARGV[13…] with a log: how long a record is kept, ms; how many jobs; how many bytes; the record, a line
-- ARGV[13…], or ARGV[17…] with a log: further fields, name and value, without `_dead_at`; then the callback, as
--          `call_back` gets it, with its mark; missing for none
-- Returns  o dead-lettered, l lost to another delivery, g gone; or a list of o and why Redis refuses the record
-- Uses     clock, whole, fence, probe, stream, trust, letter, callback, dead, count, log, settled
local lost = refused(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if lost then
  return lost
end
local entry = redis.call('XRANGE', KEYS[1], ARGV[3], ARGV[3])[1]
if not entry then
  return 'g'
end
local fields = ARGV[11] == '1' and letter_of(entry[1], trusted(entry[2], ARGV[12]))
if not fields then
  -- A line for each field, as far as they fit.
  local lines, left = {}, tonumber(ARGV[10])
  for i = 1, #entry[2], 2 do
    local line = string.sub(entry[2][i] .. '=' .. string.sub(entry[2][i + 1], 1, left) .. '\n', 1, left)
    lines[#lines + 1] = line
    left = left - #line
    if left == 0 then
      break
    end
  end
  fields = {'_raw', table.concat(lines), '_raw_fields', whole(#entry[2] / 2)}
end
local first = KEYS[6] and 17 or 13
local callback = (#ARGV - first) % 2 == 0 and {KEYS[1], ARGV[#ARGV]} or nil
for i = first, #ARGV - (callback and 1 or 0) do
  fields[#fields + 1] = ARGV[i]
end
probe_stream(KEYS[1], ARGV[1])
add_dead(2, 5, fields, clock(), callback)
local log = KEYS[6] and {KEYS[6], KEYS[7], unpack(ARGV, 13, 16)}
local refusal = settled(2, KEYS[5], log, 1, leave_stream, KEYS[1], ARGV[1], ARGV[3])
return refusal and {'o', refusal} or 'o'
