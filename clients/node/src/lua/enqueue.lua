-- Enqueues a job, once for each idempotency key, and only below a cap.
--
-- KEYS[1]  jobs
-- KEYS[2]  waiting
-- KEYS[3]  idempotency key; the same key as KEYS[1] for none
-- KEYS[4]  order_waiting
-- ARGV[1]  how long the idempotency key is kept, ms; 0 for none
-- ARGV[2]  the cap on the queue's ready, running and waiting jobs; 0 for none
-- ARGV[3]  how often the number of shards had changed when the caller claimed the key in all other shards where it may be
-- ARGV[4…] the fields, name and value
-- Returns  {letter, text}: o enqueued, and its job id; k the key is known, and the first job's id; f full,
--          and the number of jobs; m the number of shards has changed since, and the key belongs elsewhere
--
-- Redis refuses it over maxmemory, as every enqueue.
if ARGV[1] ~= '0' then
  local known = redis.call('GET', KEYS[3]) or ''
  local moved = string.match(known, '^moved (%d+)$')
  if moved then
    -- Those who claimed it earlier have ended, or find the key claimed where they are.
    if tonumber(moved) > tonumber(ARGV[3]) then
      return {'m', ''}
    end
  elseif known ~= '' then
    return {'k', known}
  end
end
local cap = tonumber(ARGV[2])
if cap > 0 then
  local jobs = redis.call('XLEN', KEYS[1]) + redis.call('HLEN', KEYS[2]) + (KEYS[4] and redis.call('HLEN', KEYS[4]) or 0)
  if jobs >= cap then
    return {'f', tostring(jobs)}
  end
end
if ARGV[1] ~= '0' then
  -- No job id yet, which counts as no key: a missing right shows before the job is enqueued.
  redis.call('SET', KEYS[3], '', 'PX', ARGV[1])
end
local job_id = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 4))
if ARGV[1] ~= '0' then
  redis.call('SET', KEYS[3], job_id, 'PX', ARGV[1])
end
return {'o', job_id}
