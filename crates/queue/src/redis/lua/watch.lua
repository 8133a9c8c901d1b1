-- Asks all workers to record jobs that end, also where no delivery log is kept.
--
-- KEYS[1]  control
-- ARGV[1]  for how long, ms
-- Returns  Redis' time, Unix ms
-- Uses     clock, whole, control
local now = clock()
local ends = lasting(redis.call('HGET', KEYS[1], 'tail'), now)
redis.call('HSET', KEYS[1], 'tail', whole(math.max(ends or 0, now + ARGV[1])) .. ' ' .. whole(now) .. ' {}')
return now
