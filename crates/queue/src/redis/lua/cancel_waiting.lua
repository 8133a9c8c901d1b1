-- Cancels a job that is scheduled or held, and dead-letters it.
--
-- KEYS[1]  waiting
-- KEYS[2]  scheduled, or the set of a flow
-- KEYS[3]  dead
-- KEYS[4]  result; the same key as KEYS[3] without a result
-- KEYS[5]  flows; the same key as KEYS[2] for a scheduled job
-- ARGV[1]  job id
-- ARGV[2]  `_error`, one sentence
-- ARGV[3]  about how many dead letters are kept; the oldest are deleted
-- ARGV[4]  about how long dead letters are kept, ms
-- ARGV[5]  how long the result is kept, ms, or 0 for no result
-- ARGV[6]  the result
-- Returns  o cancelled, g gone
--
-- The dead letter of a job that cannot be read has its bytes.
local packed = redis.call('HGET', KEYS[1], ARGV[1])
if not packed then
  return 'g'
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ok, fields = pcall(cmsgpack.unpack, packed)
if not ok or type(fields) ~= 'table' or #fields < 2 or #fields % 2 ~= 0 or #fields > 1024 then
  fields = {'_job_id', ARGV[1], '_raw', packed}
end
for _, text in ipairs({'_reason', 'cancelled', '_error', ARGV[2], '_dead_at', string.format('%.0f', now)}) do
  fields[#fields + 1] = text
end
-- These change nothing. Redis allows them over maxmemory, and then allows the script's later writes too. A
-- missing right shows before anything is moved.
redis.call('HDEL', KEYS[1], '')
redis.call('ZREM', KEYS[2], '')
redis.call('ZREM', KEYS[5], '')
-- The result first: if Redis refuses it, a repeated call must not add another dead letter.
if ARGV[5] ~= '0' then
  redis.call('SET', KEYS[4], ARGV[6], 'PX', ARGV[5])
end
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', unpack(fields))
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
if KEYS[5] ~= KEYS[2] and redis.call('EXISTS', KEYS[2]) == 0 then
  -- It was the flow's last held job.
  redis.call('ZREM', KEYS[5], string.match(KEYS[2], '[^:]+$'))
end
-- Last, and its errors are ignored: the job is moved.
redis.pcall('XTRIM', KEYS[3], 'MINID', '~', string.format('%.0f', math.max(now - ARGV[4], 0)))
return 'o'
