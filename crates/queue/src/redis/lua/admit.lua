-- Moves the first jobs that a flow holds to the stream, and schedules the flow's next check. The first are
-- those that have failed least often, and of these the oldest. Some of those that have failed may go before them.
--
-- KEYS[1]  jobs
-- KEYS[2]  waiting
-- KEYS[3]  the set of the flow
-- KEYS[4]  rejected
-- KEYS[5]  flows
-- KEYS[6]  expiring
-- KEYS[7]  stats
-- KEYS[8]  log, and KEYS[9] sizes; missing if no log is kept
-- ARGV[1]  the flow: the last part of KEYS[3]
-- ARGV[2]  the number of jobs to move at most; may be 0
-- ARGV[3]  the value of `_admitted` that the moved jobs carry, so that they need not ask the flow again
-- ARGV[4]  the time until the flow's next check, ms
-- ARGV[5]  the number of these jobs to take first from those that have failed; -1 to take none of them; -2 to take only the
--          newest of the others: an older one may be of a kind that has failed since it was held
-- ARGV[6…] with a log: how long a record is kept, ms; how many jobs; how many bytes
-- ARGV[6…], or ARGV[9…] with a log: ids of jobs that have expired: they are moved in addition, if the flow holds them, and carry `old`
-- Returns  {jobs moved, jobs that the flow still holds, Redis' time in Unix ms}
-- Uses     clock, whole, waiting, unreadable, count, log, settled
--
-- The script stops after 4 MB of jobs, so that it does not block Redis. A member without a job is dropped. A
-- job that cannot be read is rejected with its bytes; where Redis refuses that, it moves behind the
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
    elseif reject_unreadable(KEYS[4], job_id, packed, now) then
      local log = KEYS[8] and {KEYS[8], KEYS[9], ARGV[6], ARGV[7], ARGV[8], unreadable_record(job_id)}
      settled(2, KEYS[7], log, 1, leave_waiting, KEYS[2], KEYS[3], job_id)
    else
      redis.call('ZADD', KEYS[3], whole(9e15 + now), job_id)
    end
    -- The job is moved: an error on this key must not hide that.
    redis.pcall('ZREM', KEYS[6], ARGV[1] .. job_id)
  end
  return moved
end

local moved = 0
for i = KEYS[8] and 9 or 6, #ARGV do
  if redis.call('ZSCORE', KEYS[3], ARGV[i]) then
    moved = moved + move({ARGV[i]}, 'old')
  else
    redis.pcall('ZREM', KEYS[6], ARGV[1] .. ARGV[i])
  end
end
local limit, failed = tonumber(ARGV[2]), tonumber(ARGV[5])
if failed > 0 then
  local tried = move(redis.call('ZRANGEBYSCORE', KEYS[3], '1e13', '+inf', 'LIMIT', 0, failed), ARGV[3])
  moved, limit = moved + tried, limit - tried
end
if limit > 0 then
  -- Jobs of a kind that fails now are not among the untried ones.
  local command, from, to = 'ZRANGEBYSCORE', '-inf', failed < 0 and '(5e12' or '+inf'
  if failed == -2 then
    command, from, to = 'ZREVRANGEBYSCORE', to, from
  end
  moved = moved + move(redis.call(command, KEYS[3], from, to, 'LIMIT', 0, limit), ARGV[3])
end
local left = redis.call('ZCARD', KEYS[3])
-- The jobs are moved: an error on this key must not hide their number.
if left == 0 then
  redis.pcall('ZREM', KEYS[5], ARGV[1])
else
  redis.pcall('ZADD', KEYS[5], whole(now + ARGV[4]), ARGV[1])
end
return {moved, left, now}
