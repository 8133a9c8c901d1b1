-- Reports the outcome of attempts to a flow, which all workers share.
--
-- KEYS[1]  flow
-- ARGV[1]  `works`: there was a response. `fails`: a trial, or the breaker's limit of attempts in a row, had
--          no response. `asks`: the destination answered that there were too many requests
-- ARGV[2]  consumer
-- ARGV[3]  the flow's name, for people
-- ARGV[4]  the error of the last attempt, for people
-- ARGV[5]  `fails`: the breaker's first pause, ms; each further pause in a row is twice as long.
--          `asks`: the time that the destination asks to wait, ms, or 0
-- ARGV[6]  the longest pause, or the longest hold, ms
-- ARGV[7]  `fails`: the factor of the pause, at most 1.25, so that not all flows wake at once.
--          `asks`: how many attempts of the consumer were answered otherwise within the last second
-- ARGV[8]  `fails`: the kinds of jobs that have failed, with a blank before and after each
-- Returns  {how long the breaker stays open, or the flow is held, from now, ms, 0 for not at all; how often
--          in a row the breaker has opened; 1 if this is for the consumer alone, since others contradict it}
-- Uses     clock, whole
local now = clock()
-- Redis allows both over maxmemory, and then allows the script's later writes too. A missing right shows
-- before the breaker opens.
redis.call('HDEL', KEYS[1], '')
redis.call('PEXPIRE', KEYS[1], 7200000)
local found = redis.call('HMGET', KEYS[1], 'open_until', 'trips', 'opened_by', 'doubt', 'kinds', 'hold_until', 'rate',
  'lowered_at')
local open_until, trips, opened_by = tonumber(found[1] or '') or 0, tonumber(found[2] or '') or 0, found[3]

if ARGV[1] == 'works' then
  -- Another worker reaches the destination: for a minute, the one that opened the breaker speaks for itself.
  if opened_by and opened_by ~= ARGV[2] then
    redis.call('HSET', KEYS[1], 'doubt', whole(now) .. ' ' .. opened_by)
    redis.call('PEXPIRE', KEYS[1], 7200000)
  end
  redis.call('HDEL', KEYS[1], 'open_until', 'trial_until', 'trips', 'opened_at', 'opened_by', 'kinds', 'name', 'error')
  return {0, 0, 0}
end

if ARGV[1] == 'asks' then
  local hold_until = tonumber(found[6] or '') or 0
  -- Redis' clock may have been set back.
  if hold_until > now + ARGV[6] then
    hold_until = 0
  end
  hold_until = math.max(hold_until, now + math.min(tonumber(ARGV[5]), tonumber(ARGV[6])))
  -- What all workers that were asked lately had accepted in a second.
  local accepted = tonumber(ARGV[7])
  local others = redis.call('HGETALL', KEYS[1])
  for i = 1, #others, 2 do
    local count, at = string.match(others[i + 1], '^(%d+) (%d+)$')
    if string.sub(others[i], 1, 2) == 'a:' and others[i] ~= 'a:' .. ARGV[2] then
      if count and math.abs(now - at) <= 2000 then
        accepted = accepted + count
      else
        redis.call('HDEL', KEYS[1], others[i])
      end
    end
  end
  local rate, lowered_at = tonumber(found[7] or ''), tonumber(found[8] or '') or 0
  -- One answer of many to the same burst lowers it.
  if not rate and accepted == 0 and ARGV[5] ~= '0' then
    -- Nothing is known of its rate yet, and its answer names the time to come again.
    redis.call('HSET', KEYS[1], 'hold_until', whole(hold_until), 'name', ARGV[3], 'error', ARGV[4])
    redis.call('PEXPIRE', KEYS[1], 7200000)
    return {hold_until - now, trips, 0}
  end
  if not rate or math.abs(now - lowered_at) >= 1000 then
    rate = rate and math.min(rate, math.max(accepted, rate / 2)) or math.max(accepted, 1)
    rate, lowered_at = math.max(0.9 * rate, 0.02), now
  end
  redis.call('HSET', KEYS[1], 'hold_until', whole(hold_until), 'rate', string.format('%.6f', rate), 'rate_at',
    whole(now), 'limited_at', whole(now), 'lowered_at', whole(lowered_at), 'a:' .. ARGV[2], ARGV[7] .. ' ' .. whole(now),
    'name', ARGV[3], 'error', ARGV[4])
  if not tonumber(redis.call('HGET', KEYS[1], 'learned') or '') then
    redis.call('HSET', KEYS[1], 'learned', '0', 'learned_at', whole(now))
  end
  redis.call('PEXPIRE', KEYS[1], 7200000)
  return {hold_until - now, trips, 0}
end

local doubted_at, doubted = string.match(found[4] or '', '^(%d+) (.*)$')
if doubted == ARGV[2] and math.abs(now - doubted_at) <= 60000 then
  return {math.floor(ARGV[5] * ARGV[7]), 1, 1}
end
-- Redis' clock may have been set back.
if open_until > now + 2 * ARGV[6] then
  open_until = 0
end
local kinds = found[5] or ' '
for kind in string.gmatch(ARGV[8], '%d+') do
  if #kinds < 100 and not string.find(kinds, ' ' .. kind .. ' ', 1, true) then
    kinds = kinds .. kind .. ' '
  end
end
if open_until <= now then
  trips = trips + 1
  local pause = math.min(ARGV[5] * 2 ^ math.min(trips - 1, 30), tonumber(ARGV[6])) * ARGV[7]
  open_until = now + math.floor(pause)
  if trips == 1 then
    redis.call('HSET', KEYS[1], 'opened_at', whole(now))
  end
end
redis.call('HSET', KEYS[1], 'open_until', whole(open_until), 'trips', whole(trips), 'opened_by', ARGV[2], 'kinds', kinds,
  'name', ARGV[3], 'error', ARGV[4])
redis.call('HDEL', KEYS[1], 'trial_until')
redis.call('PEXPIRE', KEYS[1], 7200000)
return {open_until - now, trips, 0}
