-- Removes one succeeded job, stores its result and enqueues its callback.
--
-- KEYS[1]  jobs
-- KEYS[2]  result; the same key as KEYS[1] without a result
-- KEYS[3]  stats
-- KEYS[4]  log, and KEYS[5] sizes; missing if no log is kept
-- ARGV[1]  group
-- ARGV[2]  consumer
-- ARGV[3]  entry id
-- ARGV[4]  delivery count
-- ARGV[5]  how long the result is kept, ms, or 0 for no result
-- ARGV[6]  the result
-- ARGV[7…] with a log: how long a record is kept, ms; how many jobs; how many bytes; the record, a line
-- ARGV[7], or ARGV[11] with a log: the callback, as `call_back` gets it, with its mark; missing for none
-- Returns  o finished, l lost to another delivery, g gone; or a list of o and why Redis refuses the record
-- Uses     clock, whole, fence, probe, stream, callback, count, log, settled
local lost = refused(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if lost then
  return lost
end
probe_stream(KEYS[1], ARGV[1])
if ARGV[5] ~= '0' then
  redis.call('SET', KEYS[2], ARGV[6], 'PX', ARGV[5])
end
call_back(KEYS[1], ARGV[KEYS[4] and 11 or 7])
local log = KEYS[4] and {KEYS[4], KEYS[5], unpack(ARGV, 7, 10)}
local refusal = settled(0, KEYS[3], log, 1, leave_stream, KEYS[1], ARGV[1], ARGV[3])
return refusal and {'o', refusal} or 'o'
