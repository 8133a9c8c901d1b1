-- Dead-letters a job.
--
-- KEYS[1]  jobs
-- KEYS[2]  dead; rejected for an entry that is not a job
-- KEYS[3]  sizes
-- KEYS[4]  result; the same key as KEYS[2] without a result
-- ARGV[1]  group
-- ARGV[2]  consumer
-- ARGV[3]  entry id
-- ARGV[4]  delivery count
-- ARGV[5]  how many dead letters are kept; the oldest are deleted
-- ARGV[6]  how many bytes of them are kept, about
-- ARGV[7]  how long they are kept, ms
-- ARGV[8]  how long the result is kept, ms, or 0 for no result
-- ARGV[9]  the result
-- ARGV[10…] the fields, name and value, without `_dead_at`
-- Returns  o dead-lettered, l lost to another delivery, g gone
-- Uses     clock, whole, fence, probe, stream, dead, settled
local lost = refused(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if lost then
  return lost
end
-- Too many fields are an error here, before anything is written.
local fields = {unpack(ARGV, 10)}
probe_stream(KEYS[1], ARGV[1])
add_dead(2, 5, fields, clock())
settled('dead', leave_stream, KEYS[1], ARGV[1], ARGV[3])
return 'o'
