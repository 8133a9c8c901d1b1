-- Makes workers read a queue's higher shards again, which hold jobs, until they are empty.
--
-- KEYS[1]  meta
-- ARGV[1]  the number of shards to read at least
-- Returns  the number of shards that are read
local now = tonumber(redis.call('HGET', KEYS[1], 'shards') or '1')
local before = tonumber(redis.call('HGET', KEYS[1], 'shards_before') or '1')
local read = math.max(now, before, tonumber(ARGV[1]))
redis.call('HSET', KEYS[1], 'shards_before', read)
return read
