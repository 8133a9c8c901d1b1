-- Hands a job back: moves it to the end of the stream, ready for any worker.
--
-- KEYS[1]  jobs
-- ARGV[1]  group
-- ARGV[2]  consumer
-- ARGV[3]  entry id
-- ARGV[4]  delivery count
-- ARGV[5…] the fields, name and value
-- Returns  o handed back, l lost to another delivery, g gone
-- Uses     fence, probe, stream
local lost = refused(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if lost then
  return lost
end
probe_stream(KEYS[1], ARGV[1])
redis.call('XADD', KEYS[1], '*', unpack(ARGV, 5))
leave_stream(KEYS[1], ARGV[1], ARGV[3])
return 'o'
