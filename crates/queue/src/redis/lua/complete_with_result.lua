-- Removes one succeeded job and stores its result.
--
-- KEYS[1]  jobs
-- KEYS[2]  result
-- KEYS[3]  stats
-- KEYS[4]  log, and KEYS[5] sizes; missing if no log is kept
-- ARGV[1]  group
-- ARGV[2]  consumer
-- ARGV[3]  entry id
-- ARGV[4]  delivery count
-- ARGV[5]  how long the result is kept, ms
-- ARGV[6]  the result
-- ARGV[7…] with a log: how long a record is kept, ms; how many jobs; how many bytes; the record, a line
-- Returns  o finished, l lost to another delivery, g gone; or a list of o and why Redis refuses the record
-- Uses     clock, whole, fence, probe, stream, count, log, settled
local lost = refused(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if lost then
  return lost
end
probe_stream(KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], ARGV[6], 'PX', ARGV[5])
local log = KEYS[4] and {KEYS[4], KEYS[5], unpack(ARGV, 7)}
local refusal = settled(0, KEYS[3], log, 1, leave_stream, KEYS[1], ARGV[1], ARGV[3])
return refusal and {'o', refusal} or 'o'
