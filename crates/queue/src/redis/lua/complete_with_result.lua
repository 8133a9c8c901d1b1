-- Removes one succeeded job and stores its result.
--
-- KEYS[1]  jobs
-- KEYS[2]  result
-- ARGV[1]  group
-- ARGV[2]  consumer
-- ARGV[3]  entry id
-- ARGV[4]  delivery count
-- ARGV[5]  how long the result is kept, ms
-- ARGV[6]  the result
-- Returns  o finished, l lost to another delivery, g gone
-- Uses     fence, probe, stream, settled
local lost = refused(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if lost then
  return lost
end
probe_stream(KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], ARGV[6], 'PX', ARGV[5])
settled('succeeded', leave_stream, KEYS[1], ARGV[1], ARGV[3])
return 'o'
