-- Moves one job from where it waits to the stream before its time, or before its flow admits it.
--
-- KEYS[1]  jobs
-- KEYS[2]  waiting
-- KEYS[3]  scheduled, or the set of a flow
-- KEYS[4]  flows; the same key as KEYS[3] where the job waits for a time
-- ARGV[1]  ticket
-- ARGV[2]  `_admitted`: what a job carries that goes past its flow
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
redis.call('ZREM', KEYS[4], '')
if KEYS[4] ~= KEYS[3] then
  fields[#fields + 1] = '_admitted'
  fields[#fields + 1] = ARGV[2]
end
local id = redis.call('XADD', KEYS[1], '*', unpack(fields))
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
if KEYS[4] ~= KEYS[3] and redis.call('EXISTS', KEYS[3]) == 0 then
  -- It was the last: the flow holds nothing back.
  redis.call('ZREM', KEYS[4], string.match(KEYS[3], '[^:]+$'))
end
return id
