-- Moves one job from the schedule to the stream before its time.
--
-- KEYS[1]  jobs
-- KEYS[2]  waiting
-- KEYS[3]  scheduled
-- ARGV[1]  ticket
-- Returns  the new entry's id, or g gone, b not a job that could be moved
local packed = redis.call('HGET', KEYS[2], ARGV[1])
if not packed then
  return 'g'
end
local ok, fields = pcall(cmsgpack.unpack, packed)
if not ok or type(fields) ~= 'table' or #fields < 2 or #fields % 2 ~= 0 or #fields > 1024 then
  return 'b'
end
-- These change nothing and are allowed over maxmemory, after which no further write of the script is refused
-- for it; and a right that is missing shows before anything is moved.
redis.call('HDEL', KEYS[2], '')
redis.call('ZREM', KEYS[3], '')
local id = redis.call('XADD', KEYS[1], '*', unpack(fields))
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
return id
