-- A higher shard of a queue holds jobs, though nobody need read it: it is read until it is empty.
--
-- KEYS[1]  meta
-- ARGV[1]  how many shards are to be read at least
-- Returns  how many are read
local now = tonumber(redis.call('HGET', KEYS[1], 'shards') or '1')
local before = tonumber(redis.call('HGET', KEYS[1], 'shards_before') or '1')
local read = math.max(now, before, tonumber(ARGV[1]))
redis.call('HSET', KEYS[1], 'shards_before', read)
return read
