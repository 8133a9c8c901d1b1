-- Moves jobs whose time has come from the schedule to the stream, and tells which flows hold jobs back.
--
-- KEYS[1]  jobs
-- KEYS[2]  waiting
-- KEYS[3]  scheduled
-- KEYS[4]  dead
-- KEYS[5]  flows
-- ARGV[1]  at most how many
-- ARGV[2]  a flow that is told as due is due again after so long, ms, so that one worker looks after it
-- Returns  {how many were moved; when the next job or flow is due, Unix ms, or 0 for none; Redis' time, Unix
--          ms; how many jobs the stream holds; a list of up to 100 flows that hold jobs back; a list of up to
--          16 among them whose time has come}
--
-- No more are moved once those that were hold 4 MB, so that Redis is not held up.
-- A member without a job is dropped; a job that cannot be read is buried with its bytes.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[1])
local function is_readable(fields)
  if type(fields) ~= 'table' or #fields < 2 or #fields % 2 == 1 or #fields > 1100 then
    return false
  end
  for _, part in ipairs(fields) do
    if type(part) ~= 'string' then
      return false
    end
  end
  return true
end

local moved, bytes = 0, 0
if #due > 0 then
  -- All change nothing and are allowed over maxmemory, after which no further write of the script is refused
  -- for it; and a right that is missing shows before a job stands in two places.
  redis.call('ZREM', KEYS[3], '')
  redis.call('HDEL', KEYS[2], '')
end
for _, ticket in ipairs(due) do
  local packed = redis.call('HGET', KEYS[2], ticket)
  local ok, fields = true, nil
  if packed then
    ok, fields = pcall(cmsgpack.unpack, packed)
  end
  if not packed then
    redis.call('ZREM', KEYS[3], ticket)
  elseif ok and is_readable(fields) then
    redis.call('XADD', KEYS[1], '*', unpack(fields))
    redis.call('HDEL', KEYS[2], ticket)
    redis.call('ZREM', KEYS[3], ticket)
    moved, bytes = moved + 1, bytes + #packed
  else
    local buried = redis.pcall('XADD', KEYS[4], 'MAXLEN', '~', 100000, '*', '_ticket', ticket,
      '_reason', 'malformed', '_error', 'what waited under this ticket cannot be read', '_raw', packed,
      '_dead_at', string.format('%.0f', now))
    if type(buried) == 'table' and buried.err then
      -- It must not stand in front of the others: it is tried again in a minute.
      redis.call('ZADD', KEYS[3], string.format('%.0f', now + 60000), ticket)
    else
      redis.call('HDEL', KEYS[2], ticket)
      redis.call('ZREM', KEYS[3], ticket)
    end
  end
  if bytes > 4194304 then
    break
  end
end

local next = tonumber(redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2] or '0')
-- A member that somebody put at the end of all time is due at none.
if next ~= next or next < 0 or next > 1e15 then
  next = 0
end
-- What is wrong with this key keeps no job from its time.
local held, wake = redis.pcall('ZRANGE', KEYS[5], 0, 99, 'WITHSCORES'), {}
local flows = {}
for i = 1, #held, 2 do
  local at = tonumber(held[i + 1])
  flows[#flows + 1] = held[i]
  if at <= now and #wake < 16 then
    wake[#wake + 1] = held[i]
    at = now + ARGV[2]
    redis.pcall('ZADD', KEYS[5], 'XX', string.format('%.0f', at), held[i])
  end
  if next == 0 or at < next then
    next = at
  end
end
return {moved, next, now, redis.call('XLEN', KEYS[1]), flows, wake}
