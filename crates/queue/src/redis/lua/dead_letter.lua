-- Dead-letters a job, and enqueues its callback.
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
-- ARGV[10…] with a log: how long a record is kept, ms; how many jobs; how many bytes; the record, a line
-- ARGV[10…], or ARGV[14…] with a log: the fields, name and value, without `_dead_at`; then the callback, as `call_back`
--          gets it, with its mark; missing for none
-- Returns  o dead-lettered, l lost to another delivery, g gone; or a list of o and why Redis refuses the record
-- Uses     clock, whole, fence, probe, stream, callback, dead, count, log, settled
local lost = refused(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if lost then
  return lost
end
-- Too many fields are an error here, before anything is written.
local fields = {unpack(ARGV, KEYS[6] and 14 or 10)}
local callback = #fields % 2 == 1 and {KEYS[1], table.remove(fields)} or nil
probe_stream(KEYS[1], ARGV[1])
add_dead(2, 5, fields, clock(), callback)
local log = KEYS[6] and {KEYS[6], KEYS[7], unpack(ARGV, 10, 13)}
local refusal = settled(2, KEYS[5], log, 1, leave_stream, KEYS[1], ARGV[1], ARGV[3])
return refusal and {'o', refusal} or 'o'
