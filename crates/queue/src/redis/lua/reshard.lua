-- Sets a queue's number of shards. Workers also read the former shards until these are empty.
--
-- KEYS[1]  meta
-- ARGV[1]  the new number, 1 to 64
-- Returns  {the number of shards; the number that are read}
local now = tonumber(redis.call('HGET', KEYS[1], 'shards') or '1')
local before = tonumber(redis.call('HGET', KEYS[1], 'shards_before') or '1')
local read = math.max(now, before, tonumber(ARGV[1]))
redis.call('HSET', KEYS[1], 'shards_before', read, 'shards', ARGV[1])
return {tonumber(ARGV[1]), read}
