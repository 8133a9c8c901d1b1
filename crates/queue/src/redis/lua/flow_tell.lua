-- Tells the breaker of a flow, for all workers, what attempts came to.
--
-- KEYS[1]  flow
-- ARGV[1]  `works`: an answer came. `fails`: as many attempts in a row as the breaker allows had none, or a
--          trial had none
-- ARGV[2]  how long the breaker is open the first time, ms; it doubles with each time in a row
-- ARGV[3]  at most how long, ms
-- ARGV[4]  by what the time is multiplied, so that not all flows wake at once: at most 1.25
-- ARGV[5]  the flow's name, for people
-- Returns  {for how long the flow is closed from now, ms, 0 for not; how often in a row the breaker has opened}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Both are allowed over maxmemory, after which no further write of the script is refused for it; and a right that
-- is missing shows before the breaker opens.
redis.call('HDEL', KEYS[1], '')
redis.call('PEXPIRE', KEYS[1], 7200000)
if ARGV[1] == 'works' then
  redis.call('HDEL', KEYS[1], 'open_until', 'trial_until', 'trips', 'opened_at', 'name')
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
    'name', ARGV[5])
  if trips == 1 then
    redis.call('HSET', KEYS[1], 'opened_at', string.format('%.0f', now))
  end
  redis.call('HDEL', KEYS[1], 'trial_until')
  redis.call('PEXPIRE', KEYS[1], 7200000)
end
return {open_until - now, trips}
