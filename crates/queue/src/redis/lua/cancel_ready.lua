-- Cancels a job that is in the stream, ready or running, dead-letters it, and enqueues its callback.
--
-- KEYS[1]  jobs
-- KEYS[2]  dead
-- KEYS[3]  sizes
-- KEYS[4]  result; the same key as KEYS[2] without a result
-- KEYS[5]  mark
-- KEYS[6]  stats
-- KEYS[7]  log, and KEYS[8] sizes; missing if no log is kept
-- ARGV[1]  group
-- ARGV[2]  entry id
-- ARGV[3]  job id
-- ARGV[4]  `_error`, one sentence
-- ARGV[5]  how many dead letters are kept; the oldest are deleted
-- ARGV[6]  how many bytes of them are kept, about
-- ARGV[7]  how long they are kept, ms
-- ARGV[8]  how long the result is kept, ms, or 0 for no result
-- ARGV[9]  the result
-- ARGV[10…] with a log: how long a record is kept, ms; how many jobs; how many bytes; the record, a line
-- ARGV[10…], or ARGV[14…] with a log: the callback, as `call_back` gets it; its job id; a mark, for a shard without one; missing
--          for none
-- Returns  o it was ready, r it was running, g gone, b too many fields to move it
-- Uses     clock, whole, probe, stream, trust, letter, callback, dead, count, log, settled
--
-- The job is cancelled, also if Redis refuses its record.
-- The worker that ran it finds its lease lost: it aborts the request, and can no longer settle the job.
local entry = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]
if not entry then
  return 'g'
end
local fields = letter_of(entry[1], trusted(entry[2], redis.call('GET', KEYS[5])))
if not fields then
  return 'b'
end
local held = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1)
if held.err and not string.find(held.err, 'NOGROUP', 1, true) then
  return held
end
for _, text in ipairs({'_job_id', ARGV[3], '_reason', 'cancelled', '_error', ARGV[4]}) do
  fields[#fields + 1] = text
end
probe_stream(KEYS[1], ARGV[1])
local callback, callback_id, mark = unpack(ARGV, KEYS[7] and 14 or 10)
if callback then
  fields[#fields + 1] = '_callback'
  fields[#fields + 1] = callback_id
  redis.call('SET', KEYS[5], mark, 'NX')
end
add_dead(2, 5, fields, clock(), callback and {KEYS[1], callback, redis.call('GET', KEYS[5])})
local log = KEYS[7] and {KEYS[7], KEYS[8], unpack(ARGV, 10, 13)}
settled(3, KEYS[6], log, 1, leave_stream, KEYS[1], ARGV[1], ARGV[2])
return not held.err and held[1] and 'r' or 'o'
