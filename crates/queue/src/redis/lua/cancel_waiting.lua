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
-- Uses     clock, whole, waiting, dead, settled
--
-- The dead letter of a job that cannot be read has its bytes.
local packed = redis.call('HGET', KEYS[1], ARGV[1])
if not packed then
  return 'g'
end
local fields = fields_of(packed) or {'_job_id', ARGV[1], '_raw', packed}
for _, text in ipairs({'_reason', 'cancelled', '_error', ARGV[2]}) do
  fields[#fields + 1] = text
end
probe_waiting(KEYS[1], KEYS[2])
redis.call('ZREM', KEYS[5], '')
-- The result first: if Redis refuses it, a repeated call must not add another dead letter.
if ARGV[5] ~= '0' then
  redis.call('SET', KEYS[4], ARGV[6], 'PX', ARGV[5])
end
add_dead_letter(KEYS[3], fields, clock(), ARGV[3], ARGV[4])
settled('cancelled', leave_waiting, KEYS[1], KEYS[2], ARGV[1])
if KEYS[5] ~= KEYS[2] and redis.call('EXISTS', KEYS[2]) == 0 then
  -- It was the flow's last held job.
  redis.call('ZREM', KEYS[5], string.match(KEYS[2], '[^:]+$'))
end
return 'o'
