-- Gives back what a flow granted to a job that is not sent after all.
--
-- KEYS[1]  flow
-- ARGV[1]  1 if the job was to be the trial, else 0
-- ARGV[2]  the size of the bucket of the configured rate, or 0 where the job took no token
-- Returns  1
--
-- A repeated call returns one token too many, and never more than the bucket holds. Redis allows both over
-- maxmemory, and then allows the script's later writes too.
redis.call('HDEL', KEYS[1], '')
redis.call('PEXPIRE', KEYS[1], 7200000)
if ARGV[1] == '1' then
  redis.call('HDEL', KEYS[1], 'trial_until')
end
local tokens = tonumber(redis.call('HGET', KEYS[1], 'tokens') or '')
if tokens and ARGV[2] ~= '0' then
  redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', math.min(tokens + 1, ARGV[2])))
end
local learned, rate = unpack(redis.call('HMGET', KEYS[1], 'learned', 'rate'))
if ARGV[1] ~= '1' and tonumber(learned or '') and tonumber(rate or '') then
  local left = math.min(learned + 1, math.max(1, rate / 20))
  redis.call('HSET', KEYS[1], 'learned', string.format('%.6f', left))
end
return 1
