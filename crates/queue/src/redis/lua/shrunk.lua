-- The higher shards of a queue are empty: they need not be read any more.
--
-- KEYS[1]  meta
-- ARGV[1]  how many shards there are, as the caller saw it
-- ARGV[2]  how many are read, as the caller saw it
-- Returns  1, or 0 where the numbers have changed since
local now = redis.call('HGET', KEYS[1], 'shards') or '1'
if now == ARGV[1] and redis.call('HGET', KEYS[1], 'shards_before') == ARGV[2] then
  redis.call('HSET', KEYS[1], 'shards_before', ARGV[1])
  return 1
end
return 0
