-- Moves the first jobs that a flow holds to the stream, and schedules the flow's next check.
--
-- KEYS[1]  jobs
-- KEYS[2]  waiting
-- KEYS[3]  the set of the flow
-- KEYS[4]  dead
-- KEYS[5]  flows
-- ARGV[1]  the flow: the last part of KEYS[3]
-- ARGV[2]  the number of jobs to move at most; may be 0
-- ARGV[3]  the value of `_admitted` that the moved jobs carry, so that they need not ask the flow again
-- ARGV[4]  the time until the flow's next check, ms
-- ARGV[5]  up to 100 jobs enqueued before this time are moved in addition and carry `old`: they may be too
--          old to wait any longer. Unix ms, or 0 for none
-- Returns  {jobs moved, jobs that the flow still holds, Redis' time in Unix ms}
-- Uses     clock, whole, waiting, unreadable, settled
--
-- The script stops after 4 MB of jobs, so that it does not block Redis. A member without a job is dropped. A
-- job that cannot be read is dead-lettered with its bytes; where Redis refuses that, it moves behind the
-- others.
local now = clock()


probe_waiting(KEYS[2], KEYS[3])

local bytes = 0
local function move(job_ids, mark)
  local moved = 0
  for _, job_id in ipairs(job_ids) do
    if bytes > 4194304 then
      break
    end
    local packed = redis.call('HGET', KEYS[2], job_id)
    local fields = packed and fields_of(packed)
    if not packed then
      redis.call('ZREM', KEYS[3], job_id)
    elseif fields then
      fields[#fields + 1] = '_admitted'
      fields[#fields + 1] = mark
      redis.call('XADD', KEYS[1], '*', unpack(fields))
      leave_waiting(KEYS[2], KEYS[3], job_id)
      moved, bytes = moved + 1, bytes + #packed
    elseif add_unreadable(KEYS[4], job_id, packed, now) then
      settled('dead', leave_waiting, KEYS[2], KEYS[3], job_id)
    else
      redis.call('ZADD', KEYS[3], whole(now), job_id)
    end
  end
  return moved
end

local moved = 0
if ARGV[5] ~= '0' then
  moved = move(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', '(' .. ARGV[5], 'LIMIT', 0, 100), 'old')
end
if ARGV[2] ~= '0' then
  moved = moved + move(redis.call('ZRANGE', KEYS[3], 0, ARGV[2] - 1), ARGV[3])
end
local left = redis.call('ZCARD', KEYS[3])
-- The jobs are moved: an error on this key must not hide their number.
if left == 0 then
  redis.pcall('ZREM', KEYS[5], ARGV[1])
else
  redis.pcall('ZADD', KEYS[5], whole(now + ARGV[4]), ARGV[1])
end
return {moved, left, now}
