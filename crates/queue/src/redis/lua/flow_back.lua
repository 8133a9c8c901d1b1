-- Gives back what a flow has granted to a job that is not sent after all.
--
-- KEYS[1]  flow
-- ARGV[1]  1 if it was to be the trial, else 0
-- ARGV[2]  most tokens, or 0 where it had none to pay
-- Returns  1
--
-- Sent twice, it gives a token too many, and never more than the bucket holds.
-- Both are allowed over maxmemory, after which no further write of the script is refused for it.
redis.call('HDEL', KEYS[1], '')
redis.call('PEXPIRE', KEYS[1], 7200000)
if ARGV[1] == '1' then
  redis.call('HDEL', KEYS[1], 'trial_until')
end
local tokens = tonumber(redis.call('HGET', KEYS[1], 'tokens') or '')
if tokens and ARGV[2] ~= '0' then
  redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', math.min(tokens + 1, ARGV[2])))
end
return 1
