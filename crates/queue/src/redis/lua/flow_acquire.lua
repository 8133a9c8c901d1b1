-- Acquires the right to make attempts of a flow from its hold, its breaker, its token buckets, and its
-- concurrency limit over all workers.
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
-- ARGV[9]  1 to skip hold and breaker, as they were asked before or need not be asked, else 0
-- ARGV[10] the longest pause of the breaker, ms
-- ARGV[11] the longest hold, ms
-- ARGV[12] 1 if the tokens were taken before, else 0
-- ARGV[13] the kind of the job, if an open breaker shall let one job of a kind pass that it was not opened
--          for, else empty
-- Returns  {attempts granted; time until the next request, ms; why not all: - for no reason, h the
--          destination asked to wait, o the breaker is open or a trial is under way, t only one, as a trial,
--          T the same of a job that has failed before, r rate, c concurrency; 1 if the flow has a learned rate, else 0}
-- Uses     clock, whole
--
-- Fields: `open_until`, `opened_at`, `opened_by`, `trips`, `kinds`, `name` and `error` of the breaker,
-- `trial_until`, `hold_until`; `tokens` and `tokens_at` of the configured rate, `rate`, `rate_at`,
-- `limited_at`, `learned` and `learned_at` of the learned one; and for each consumer `w:CONSUMER` with its
-- number of attempts and the time of that report, which expires after 15 s.
local now = clock()
-- Redis allows both over maxmemory, and then allows the script's later writes too. A missing right shows
-- before a token is taken.
redis.call('HDEL', KEYS[1], '')
redis.call('PEXPIRE', KEYS[1], 7200000)
local flow, others, kinds = {}, 0, ''
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  local made, reported = string.match(flat[i + 1], '^(%d+) (%d+)$')
  if flat[i] == 'kinds' then
    kinds = flat[i + 1]
  elseif string.sub(flat[i], 1, 2) ~= 'w:' then
    flow[flat[i]] = tonumber(flat[i + 1])
  elseif not made or math.abs(now - reported) > 15000 or made == '0' then
    redis.call('HDEL', KEYS[1], flat[i])
  elseif flat[i] ~= 'w:' .. ARGV[1] then
    others = others + made
  end
end

-- Redis' clock may have been set back: a time that is too far ahead counts as over.
local function is_ahead(at, most)
  return at and at > now and at <= now + most
end
local making, granted, wait, why = tonumber(ARGV[2]), tonumber(ARGV[3]), 0, '-'
local most = tonumber(ARGV[7])
if granted > 0 and ARGV[9] == '0' then
  local is_tried = is_ahead(flow.trial_until, ARGV[8])
  if is_ahead(flow.hold_until, ARGV[11]) then
    granted, wait, why = 0, flow.hold_until - now, 'h'
  elseif (flow.trips or 0) == 0 then
    why = '-'
  elseif is_ahead(flow.open_until, 2 * ARGV[10]) then
    local _, count = string.gsub(kinds, '%d+', '')
    local is_known = ARGV[13] == '' or count >= 8 or string.find(kinds, ' ' .. ARGV[13] .. ' ', 1, true)
    if is_tried or is_known then
      granted, wait, why = 0, flow.open_until - now, 'o'
    else
      granted, wait, why = 1, 1000, 't'
    end
  elseif is_tried then
    granted, wait, why = 0, math.min(flow.trial_until - now, 1000), 'o'
  else
    -- Every other trial is of a job that has failed: where all others fail at first, their trials would say
    -- the same again and again.
    granted, wait, why = 1, 1000, flow.trips % 2 == 0 and 'T' or 't'
  end
end
if granted > 0 and most > 0 and others + making + granted > most then
  granted, wait, why = math.max(most - others - making, 0), 1000, 'c'
end
-- Takes tokens from a bucket.
local function take(tokens, tokens_at, rate, burst)
  if granted == 0 then
    return
  end
  -- Redis' clock may be set back.
  local passed = math.max(now - (flow[tokens_at] or 0), 0)
  local left = math.min(burst, (flow[tokens] or burst) + passed * rate / 1000)
  local had = math.floor(left)
  if had < granted then
    granted, why = had, 'r'
    wait = math.ceil((1 - math.min(left - granted, 1)) * 1000 / rate)
  end
  redis.call('HSET', KEYS[1], tokens, string.format('%.6f', left - granted), tokens_at, whole(now))
end
if tonumber(ARGV[5]) > 0 then
  take('tokens', 'tokens_at', tonumber(ARGV[5]), tonumber(ARGV[6]))
end
local is_learned = flow.rate and flow.rate > 0
if is_learned and granted > 0 and ARGV[12] == '0' then
  -- It grows by 5 % a second while it is used.
  local passed = math.min(math.max(now - (flow.rate_at or now), 0), 1000)
  local rate, asked = flow.rate * 1.05 ^ (passed / 1000), granted
  take('learned', 'learned_at', rate, math.max(1, rate / 20))
  local limited_at = granted < asked and now or flow.limited_at or now
  if math.abs(now - limited_at) > 60000 or rate > 10000 then
    is_learned = false
    redis.call('HDEL', KEYS[1], 'rate', 'rate_at', 'limited_at', 'learned', 'learned_at')
  else
    redis.call('HSET', KEYS[1], 'rate', string.format('%.6f', rate), 'rate_at', whole(now), 'limited_at', whole(limited_at))
  end
end
if granted == 1 and (why == 't' or why == 'T') then
  redis.call('HSET', KEYS[1], 'trial_until', whole(now + ARGV[8]))
end
if most > 0 then
  making = making + (ARGV[4] == '1' and granted or 0)
  redis.call('HSET', KEYS[1], 'w:' .. ARGV[1], whole(making) .. ' ' .. whole(now))
end
if #flat == 0 then
  redis.call('PEXPIRE', KEYS[1], 7200000)
end
return {granted, wait, why, is_learned and 1 or 0}
