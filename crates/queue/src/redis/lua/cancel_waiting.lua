-- Cancels a job that is scheduled or held, and dead-letters it.
--
-- KEYS[1]  waiting
-- KEYS[2]  scheduled, or the set of a flow
-- KEYS[3]  dead
-- KEYS[4]  sizes
-- KEYS[5]  result; the same key as KEYS[3] without a result
-- KEYS[6]  flows; the same key as KEYS[2] for a scheduled job
-- KEYS[7]  stats
-- KEYS[8]  log, and KEYS[9] sizes; missing if no log is kept
-- ARGV[1]  job id
-- ARGV[2]  `_error`, one sentence
-- ARGV[3]  how many dead letters are kept; the oldest are deleted
-- ARGV[4]  how many bytes of them are kept, about
-- ARGV[5]  how long they are kept, ms
-- ARGV[6]  how long the result is kept, ms, or 0 for no result
-- ARGV[7]  the result
-- ARGV[8…] with a log: how long a record is kept, ms; how many jobs; how many bytes; the record, a line
-- Returns  o cancelled, g gone
-- Uses     clock, whole, waiting, letter, dead, count, log, settled
--
-- The job is cancelled, also if Redis refuses its record.
-- The dead letter of a job that cannot be read has its bytes.
local packed = redis.call('HGET', KEYS[1], ARGV[1])
if not packed then
  return 'g'
end
local fields = fields_of(packed)
fields = fields and letter_of(ARGV[1], fields) or {'_raw', packed}
for _, text in ipairs({'_job_id', ARGV[1], '_reason', 'cancelled', '_error', ARGV[2]}) do
  fields[#fields + 1] = text
end
probe_waiting(KEYS[1], KEYS[2])
redis.call('ZREM', KEYS[6], '')
add_dead(3, 3, fields, clock())
local log = KEYS[8] and {KEYS[8], KEYS[9], unpack(ARGV, 8)}
settled(3, KEYS[7], log, 1, leave_waiting, KEYS[1], KEYS[2], ARGV[1])
if KEYS[6] ~= KEYS[2] and redis.call('EXISTS', KEYS[2]) == 0 then
  -- It was the flow's last held job.
  redis.call('ZREM', KEYS[6], string.match(KEYS[2], '[^:]+$'))
end
return 'o'
