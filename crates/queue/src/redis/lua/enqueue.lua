-- Puts a job in, once for each idempotency key, and not beyond a cap.
--
-- KEYS[1]  jobs
-- KEYS[2]  waiting
-- KEYS[3]  idempotency key; the same key as KEYS[1] for none
-- ARGV[1]  how long the idempotency key is kept, ms; 0 for none
-- ARGV[2]  how many jobs the queue may hold, ready, running and waiting; 0 for any number
-- ARGV[3…] the fields, name and value
-- Returns  {letter, text}: o enqueued, and its ticket; k the key is known, and the first job's ticket;
--          f full, and how many jobs there are
--
-- Refused over maxmemory, as all that puts jobs in.
if ARGV[1] ~= '0' then
  local known = redis.call('GET', KEYS[3])
  if known and known ~= '' then
    return {'k', known}
  end
end
local cap = tonumber(ARGV[2])
if cap > 0 then
  local jobs = redis.call('XLEN', KEYS[1]) + redis.call('HLEN', KEYS[2])
  if jobs >= cap then
    return {'f', tostring(jobs)}
  end
end
if ARGV[1] ~= '0' then
  -- No ticket yet, and as good as no key: a right that is missing shows before the job is in.
  redis.call('SET', KEYS[3], '', 'PX', ARGV[1])
end
local ticket = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 3))
if ARGV[1] ~= '0' then
  redis.call('SET', KEYS[3], ticket, 'PX', ARGV[1])
end
return {'o', ticket}
