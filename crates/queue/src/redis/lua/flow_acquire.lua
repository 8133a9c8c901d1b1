-- Acquires the right to make attempts of a flow from its breaker, its token bucket, and its concurrency limit
-- over all workers.
--
-- KEYS[1]  flow
-- ARGV[1]  consumer
-- ARGV[2]  the number of attempts of the flow that the consumer makes now
-- ARGV[3]  the number of further attempts that it asks for; with 0 it only reports ARGV[2]
-- ARGV[4]  1 if the granted attempts count as the consumer's at once, else 0
-- ARGV[5]  tokens a second, or 0 for no limit
-- ARGV[6]  the size of the bucket
-- ARGV[7]  the limit of attempts at once over all workers, or 0 for none
-- ARGV[8]  how long a trial may take, ms
-- ARGV[9]  1 to skip the breaker, as it was asked before or need not be asked, else 0
-- ARGV[10] the longest pause of the breaker, ms
-- Returns  {attempts granted; time until the next request, ms; why not all: - for no reason, o the breaker is
--          open or a trial is under way, t only one, as a trial, r rate, c concurrency}
--
-- Fields: `open_until`, `opened_at`, `trips`, `name` and `error` of the breaker, `trial_until`, `tokens` and
-- `tokens_at`, and for each consumer `w:CONSUMER` with its number of attempts and the time of that report,
-- which expires after 15 s.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number)
  return string.format('%.0f', number)
end
-- Redis allows both over maxmemory, and then allows the script's later writes too. A missing right shows
-- before a token is taken.
redis.call('HDEL', KEYS[1], '')
redis.call('PEXPIRE', KEYS[1], 7200000)
local flow, others = {}, 0
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  local made, told = string.match(flat[i + 1], '^(%d+) (%d+)$')
  if string.sub(flat[i], 1, 2) ~= 'w:' then
    flow[flat[i]] = tonumber(flat[i + 1])
  elseif not made or math.abs(now - told) > 15000 or made == '0' then
    redis.call('HDEL', KEYS[1], flat[i])
  elseif flat[i] ~= 'w:' .. ARGV[1] then
    others = others + made
  end
end

local making, granted, wait, why = tonumber(ARGV[2]), tonumber(ARGV[3]), 0, '-'
local rate, burst, most = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
if granted > 0 and ARGV[9] == '0' and (flow.trips or 0) > 0 then
  -- Redis' clock may have been set back: a time that is too far ahead counts as over.
  local open_until, trial_until = flow.open_until or 0, flow.trial_until or 0
  if open_until > now and open_until <= now + 2 * ARGV[10] then
    granted, wait, why = 0, open_until - now, 'o'
  elseif trial_until > now and trial_until <= now + ARGV[8] then
    granted, wait, why = 0, math.min(trial_until - now, 1000), 'o'
  else
    granted, wait, why = 1, 1000, 't'
  end
end
if granted > 0 and most > 0 and others + making + granted > most then
  granted, wait, why = math.max(most - others - making, 0), 1000, 'c'
end
if granted > 0 and rate > 0 then
  -- Redis' clock may be set back.
  local passed = math.max(now - (flow.tokens_at or 0), 0)
  local tokens = math.min(burst, (flow.tokens or burst) + passed * rate / 1000)
  local had = math.floor(tokens)
  if had < granted then
    granted, why = had, 'r'
  end
  tokens = tokens - granted
  if why == 'r' then
    wait = math.ceil((1 - math.min(tokens, 1)) * 1000 / rate)
  end
  redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'tokens_at', text(now))
end
if granted == 1 and why == 't' then
  redis.call('HSET', KEYS[1], 'trial_until', text(now + ARGV[8]))
end
if most > 0 then
  making = making + (ARGV[4] == '1' and granted or 0)
  redis.call('HSET', KEYS[1], 'w:' .. ARGV[1], text(making) .. ' ' .. text(now))
end
if #flat == 0 then
  redis.call('PEXPIRE', KEYS[1], 7200000)
end
return {granted, wait, why}
