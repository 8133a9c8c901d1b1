-- Moves a job that somebody gave up from where it waits to the dead letters.
--
-- KEYS[1]  waiting
-- KEYS[2]  scheduled, or the set of a flow
-- KEYS[3]  dead
-- KEYS[4]  result; the same key as KEYS[3] where nobody waits for one
-- KEYS[5]  flows; the same key as KEYS[2] where the job waits for a time
-- ARGV[1]  ticket
-- ARGV[2]  `_error`, one sentence
-- ARGV[3]  about how many dead letters are kept; the eldest go
-- ARGV[4]  about how long dead letters are kept, ms
-- ARGV[5]  how long the result is kept, ms, or 0 for no result
-- ARGV[6]  the result
-- Returns  o cancelled, g gone
--
-- A job that cannot be read goes with its bytes.
local packed = redis.call('HGET', KEYS[1], ARGV[1])
if not packed then
  return 'g'
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ok, fields = pcall(cmsgpack.unpack, packed)
if not ok or type(fields) ~= 'table' or #fields < 2 or #fields % 2 ~= 0 or #fields > 1024 then
  fields = {'_ticket', ARGV[1], '_raw', packed}
end
for _, text in ipairs({'_reason', 'cancelled', '_error', ARGV[2], '_dead_at', string.format('%.0f', now)}) do
  fields[#fields + 1] = text
end
-- These change nothing and are allowed over maxmemory, after which no further write of the script is refused
-- for it; and a right that is missing shows before anything is moved.
redis.call('HDEL', KEYS[1], '')
redis.call('ZREM', KEYS[2], '')
redis.call('ZREM', KEYS[5], '')
-- The result first: refused, it must not leave a dead letter at each repetition.
if ARGV[5] ~= '0' then
  redis.call('SET', KEYS[4], ARGV[6], 'PX', ARGV[5])
end
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', unpack(fields))
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
if KEYS[5] ~= KEYS[2] and redis.call('EXISTS', KEYS[2]) == 0 then
  -- It was the last: the flow holds nothing back.
  redis.call('ZREM', KEYS[5], string.match(KEYS[2], '[^:]+$'))
end
-- At the end, and whatever comes of it: the job is moved.
redis.pcall('XTRIM', KEYS[3], 'MINID', '~', string.format('%.0f', math.max(now - ARGV[4], 0)))
return 'o'
