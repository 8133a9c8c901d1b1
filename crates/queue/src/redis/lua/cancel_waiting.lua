-- Cancels a job that is scheduled or held, dead-letters it, and enqueues its callback.
--
-- KEYS[1]  waiting
-- KEYS[2]  scheduled, or the set of a flow
-- KEYS[3]  dead
-- KEYS[4]  sizes
-- KEYS[5]  result; the same key as KEYS[3] without a result
-- KEYS[6]  flows; the same key as KEYS[2] for a scheduled job
-- KEYS[7]  stats
-- KEYS[8]  jobs
-- KEYS[9]  mark
-- KEYS[10] log, and KEYS[11] sizes; missing if no log is kept
-- ARGV[1]  job id
-- ARGV[2]  `_error`, one sentence
-- ARGV[3]  how many dead letters are kept; the oldest are deleted
-- ARGV[4]  how many bytes of them are kept, about
-- ARGV[5]  how long they are kept, ms
-- ARGV[6]  how long the result is kept, ms, or 0 for no result
-- ARGV[7]  the result
-- ARGV[8…] with a log: how long a record is kept, ms; how many jobs; how many bytes; the record, a line
-- ARGV[8…], or ARGV[12…] with a log: the callback, as `call_back` gets it; its job id; a mark, for a shard without one; missing
--          for none
-- Returns  o cancelled, g gone
-- Uses     clock, whole, waiting, letter, callback, dead, count, log, settled
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
local callback, callback_id, mark = unpack(ARGV, KEYS[10] and 12 or 8)
if callback then
  fields[#fields + 1] = '_callback'
  fields[#fields + 1] = callback_id
  -- Both change nothing on a key that exists.
  redis.call('XDEL', KEYS[8], '0-0')
  redis.call('SET', KEYS[9], mark, 'NX')
end
add_dead(3, 3, fields, clock(), callback and {KEYS[8], callback, redis.call('GET', KEYS[9])})
local log = KEYS[10] and {KEYS[10], KEYS[11], unpack(ARGV, 8, 11)}
settled(3, KEYS[7], log, 1, leave_waiting, KEYS[1], KEYS[2], ARGV[1])
if KEYS[6] ~= KEYS[2] and redis.call('EXISTS', KEYS[2]) == 0 then
  -- It was the flow's last held job.
  redis.call('ZREM', KEYS[6], string.match(KEYS[2], '[^:]+$'))
end
return 'o'
