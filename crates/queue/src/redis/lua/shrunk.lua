-- Stops the reading of a queue's higher shards, which are empty.
--
-- KEYS[1]  meta
-- ARGV[1]  the number of shards that the caller saw
-- ARGV[2]  the number of read shards that the caller saw
-- Returns  1, or 0 if the numbers have changed since
local now = redis.call('HGET', KEYS[1], 'shards') or '1'
if now == ARGV[1] and redis.call('HGET', KEYS[1], 'shards_before') == ARGV[2] then
  redis.call('HSET', KEYS[1], 'shards_before', ARGV[1])
  return 1
end
return 0
