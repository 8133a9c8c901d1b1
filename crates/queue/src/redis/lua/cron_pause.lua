-- Pauses or resumes a definition of periodic jobs.
--
-- KEYS[1]  cron
-- KEYS[2]  cron_due
-- ARGV[1]  name
-- ARGV[2]  its next tick, Unix ms, to resume it; empty to pause it
-- Returns  0 there is no such definition, 1 done, 2 it was so before
-- Uses     clock, whole
local name = ARGV[1]
if redis.call('HEXISTS', KEYS[1], 'd:' .. name) == 0 then
  return 0
end
local was_paused = redis.call('HEXISTS', KEYS[1], 'p:' .. name) == 1
if was_paused == (ARGV[2] == '') then
  return 2
end
-- A missing right, or a key of a wrong type, shows before anything is changed.
redis.call('ZADD', KEYS[2], 'XX', 0, '')
redis.call('ZREM', KEYS[2], '')
redis.call('HDEL', KEYS[1], '')
if was_paused then
  redis.call('HSET', KEYS[1], 'n:' .. name, ARGV[2])
  redis.call('ZADD', KEYS[2], ARGV[2], name)
  redis.call('HDEL', KEYS[1], 'p:' .. name)
else
  redis.call('HSET', KEYS[1], 'p:' .. name, whole(clock()))
  redis.call('ZREM', KEYS[2], name)
  redis.call('HDEL', KEYS[1], 'n:' .. name)
end
return 1
