-- Moves a job from the stream to the schedule, for a retry or a delay, or to the set of the flow that holds it.
--
-- KEYS[1]  jobs
-- KEYS[2]  waiting
-- KEYS[3]  scheduled, or the set of a flow
-- KEYS[4]  flows; the same key as KEYS[3] for a scheduled job
-- KEYS[5]  expiring; the same key as KEYS[3] for a scheduled job
-- KEYS[6]  stats; missing unless an attempt has failed
-- ARGV[1]  group
-- ARGV[2]  consumer
-- ARGV[3]  entry id
-- ARGV[4]  delivery count
-- ARGV[5]  job id
-- ARGV[6]  `retry`: the delay counts from now. `delay`: it counts from when the job was enqueued. `flow`: the
--          flow holds the job, by ARGV[10], then in the order in which jobs were enqueued
-- ARGV[7]  the delay, ms; for `flow`, the time until the flow's next check at the latest
-- ARGV[8]  not before, Unix ms, or 0
-- ARGV[9]  when the job was enqueued, Unix ms, or 0 where that is not known yet
-- ARGV[10] for `flow`: twice the number of the job's failures, and 1 more if jobs of its kind fail now, 0 to 1800
-- ARGV[11] for `flow`: the job expires at this time, Unix ms, or 0
-- ARGV[12] the mark of the shard
-- ARGV[13…] the fields, name and value, without `_job_id` and `_enqueued_at`
-- Returns  {letter, due, now}, times in Unix ms: o scheduled or held, d already due and still leased (only
--          for `delay`), l lost to another delivery, g gone
-- Uses     clock, whole, fence, probe, stream, count
local stream, group, id, now = KEYS[1], ARGV[1], ARGV[3], clock()
local lost = refused(stream, group, ARGV[2], id, ARGV[4])
if lost then
  return {lost, 0, now}
end

-- The entry's id contains the time of the enqueue, unless a producer chose the id.
local at = tonumber(ARGV[9])
if at == 0 then
  at = tonumber(string.match(id, '^%d+'))
  if at > now or at < now - 86400000 then
    at = now
  end
end
local due = (ARGV[6] == 'retry' and now or at) + tonumber(ARGV[7])
due = math.max(due, tonumber(ARGV[8]))
if ARGV[6] == 'flow' then
  due = now + ARGV[7]
end
if ARGV[6] == 'delay' and due <= now then
  return {'d', due, now}
end

-- Never overwrite a waiting job: a producer may have made up this job id.
local job_id = ARGV[5]
if redis.call('HEXISTS', KEYS[2], job_id) == 1 then
  job_id = string.sub(job_id, 1, 80) .. '-' .. id
end
local fields = {unpack(ARGV, 13)}
fields[#fields + 1] = '_job_id'
fields[#fields + 1] = job_id
fields[#fields + 1] = '_enqueued_at'
fields[#fields + 1] = whole(at)
fields[#fields + 1] = '_mark'
fields[#fields + 1] = redis.sha1hex(ARGV[12] .. job_id)
probe_stream(stream, group)
-- Add the member first: a member without a job is harmless, a job without a member would wait for ever.
if ARGV[6] == 'flow' then
  -- The last part of the set's key names the flow.
  local flow = string.match(KEYS[3], '[^:]+$')
  redis.call('ZADD', KEYS[3], whole(ARGV[10] * 5e12 + math.min(at, 5e12 - 1)), job_id)
  redis.call('ZADD', KEYS[4], 'LT', whole(due), flow)
  if ARGV[11] ~= '0' then
    redis.call('ZADD', KEYS[5], ARGV[11], flow .. job_id)
  end
else
  redis.call('ZADD', KEYS[3], whole(due), job_id)
end
redis.call('HSET', KEYS[2], job_id, cmsgpack.pack(fields))
leave_stream(stream, group, id)
if KEYS[6] then
  count_jobs(KEYS[6], 1, 1)
end
return {'o', due, now}
