-- Enqueues a notice, once for each change of what it is about, over all workers.
--
-- KEYS[1]  jobs
-- KEYS[2]  notices
-- ARGV[1]  the subject
-- ARGV[2]  its state as the caller has read it, or empty for none
-- ARGV[3]  its new state, or empty for none
-- ARGV[4]  how long states are kept without a further notice, ms
-- ARGV[5…] the fields of the job, name and value
-- Returns  o enqueued; c another worker was first
--
-- Redis refuses it over maxmemory, as every enqueue; then the state stays, and the caller tries again. A missing right, or a
-- key of a wrong type, shows before the job is enqueued.
local subject = ARGV[1]
if (redis.call('HGET', KEYS[2], subject) or '') ~= ARGV[2] then
  return 'c'
end
redis.call('HSET', KEYS[2], subject, ARGV[2])
redis.call('HDEL', KEYS[2], '')
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('XADD', KEYS[1], '*', unpack(ARGV, 5))
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[2], subject)
else
  redis.call('HSET', KEYS[2], subject, ARGV[3])
end
return 'o'
