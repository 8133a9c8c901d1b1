-- Moves due jobs from the schedule to the stream, and returns the flows that hold jobs.
--
-- KEYS[1]  jobs
-- KEYS[2]  waiting
-- KEYS[3]  scheduled
-- KEYS[4]  rejected
-- KEYS[5]  flows
-- KEYS[6]  expiring
-- KEYS[7]  stats
-- KEYS[8]  log, and KEYS[9] sizes; missing if no log is kept
-- ARGV[1]  the number of jobs to move at most
-- ARGV[2]  the time until a flow that is returned as due is due again, ms, so that one worker checks it
-- ARGV[3…] with a log: how long a record is kept, ms; how many jobs; how many bytes
-- Returns  {jobs moved; when the next job or flow is due, Unix ms, or 0 for none; Redis' time, Unix ms; jobs
--          in the stream; a list of up to 100 flows that hold jobs; a list of up to 16 of these flows that
--          are due; up to 100 held jobs that have expired, each as its flow and its id in one text}
-- Uses     clock, whole, waiting, unreadable, count, log, settled
--
-- The script stops after 4 MB of jobs, so that it does not block Redis. A member without a job is dropped. A
-- job that cannot be read is rejected with its bytes.
local now = clock()
local due = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', whole(now), 'LIMIT', 0, ARGV[1])

local moved, bytes = 0, 0
if #due > 0 then
  probe_waiting(KEYS[2], KEYS[3])
end
for _, job_id in ipairs(due) do
  local packed = redis.call('HGET', KEYS[2], job_id)
  local fields = packed and fields_of(packed)
  if not packed then
    redis.call('ZREM', KEYS[3], job_id)
  elseif fields then
    redis.call('XADD', KEYS[1], '*', unpack(fields))
    leave_waiting(KEYS[2], KEYS[3], job_id)
    moved, bytes = moved + 1, bytes + #packed
  elseif reject_unreadable(KEYS[4], job_id, packed, now) then
    local log = KEYS[8] and {KEYS[8], KEYS[9], ARGV[3], ARGV[4], ARGV[5], unreadable_record(job_id)}
    settled(2, KEYS[7], log, 1, leave_waiting, KEYS[2], KEYS[3], job_id)
  else
    -- Try again in a minute: it must not block the jobs behind it.
    redis.call('ZADD', KEYS[3], whole(now + 60000), job_id)
  end
  if bytes > 4194304 then
    break
  end
end

local next = tonumber(redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2] or '0')
-- A member whose score is not a usable time is never due.
if next ~= next or next < 0 or next > 1e15 then
  next = 0
end
-- An error on this key must not delay a job.
local held, wake = redis.pcall('ZRANGE', KEYS[5], 0, 99, 'WITHSCORES'), {}
local flows = {}
for i = 1, #held, 2 do
  local at = tonumber(held[i + 1])
  flows[#flows + 1] = held[i]
  if at <= now and #wake < 16 then
    wake[#wake + 1] = held[i]
    at = now + ARGV[2]
    redis.pcall('ZADD', KEYS[5], 'XX', whole(at), held[i])
  end
  if next == 0 or at < next then
    next = at
  end
end
local expired = {}
local first = redis.pcall('ZRANGE', KEYS[6], 0, 0, 'WITHSCORES')
local expires = tonumber(first[2] or '')
if expires and expires <= now then
  expired = redis.call('ZRANGEBYSCORE', KEYS[6], '-inf', whole(now), 'LIMIT', 0, 100)
elseif expires and (next == 0 or expires < next) then
  next = expires
end
return {moved, next, now, redis.call('XLEN', KEYS[1]), flows, wake, expired}
