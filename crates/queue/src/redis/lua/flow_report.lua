-- Reports the outcome of attempts to a flow's breaker, which all workers share.
--
-- KEYS[1]  flow
-- ARGV[1]  `works`: there was a response. `fails`: a trial, or the breaker's limit of attempts in a row, had
--          no response
-- ARGV[2]  the breaker's first pause, ms; each further pause in a row is twice as long
-- ARGV[3]  the longest pause, ms
-- ARGV[4]  the factor of the pause, at most 1.25, so that not all flows wake at once
-- ARGV[5]  the flow's name, for people
-- ARGV[6]  why the last attempt failed, for people
-- Returns  {how long the breaker stays open from now, ms, 0 if closed; how often in a row it has opened}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Redis allows both over maxmemory, and then allows the script's later writes too. A missing right shows
-- before the breaker opens.
redis.call('HDEL', KEYS[1], '')
redis.call('PEXPIRE', KEYS[1], 7200000)
if ARGV[1] == 'works' then
  redis.call('HDEL', KEYS[1], 'open_until', 'trial_until', 'trips', 'opened_at', 'name', 'error')
  return {0, 0}
end
local found = redis.call('HMGET', KEYS[1], 'open_until', 'trips')
local open_until, trips = tonumber(found[1] or '') or 0, tonumber(found[2] or '') or 0
-- Redis' clock may have been set back.
if open_until > now + 2 * ARGV[3] then
  open_until = 0
end
if open_until <= now then
  trips = trips + 1
  local pause = math.min(ARGV[2] * 2 ^ math.min(trips - 1, 30), tonumber(ARGV[3])) * ARGV[4]
  open_until = now + math.floor(pause)
  redis.call('HSET', KEYS[1], 'open_until', string.format('%.0f', open_until), 'trips', string.format('%.0f', trips),
    'name', ARGV[5], 'error', ARGV[6])
  if trips == 1 then
    redis.call('HSET', KEYS[1], 'opened_at', string.format('%.0f', now))
  end
  redis.call('HDEL', KEYS[1], 'trial_until')
  redis.call('PEXPIRE', KEYS[1], 7200000)
end
return {open_until - now, trips}
