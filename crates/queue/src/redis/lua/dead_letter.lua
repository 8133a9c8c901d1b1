-- Dead-letters a job.
--
-- KEYS[1]  jobs
-- KEYS[2]  dead
-- KEYS[3]  result; the same key as KEYS[2] without a result
-- ARGV[1]  group
-- ARGV[2]  consumer
-- ARGV[3]  entry id
-- ARGV[4]  delivery count
-- ARGV[5]  about how many dead letters are kept; the oldest are deleted
-- ARGV[6]  about how long dead letters are kept, ms
-- ARGV[7]  how long the result is kept, ms, or 0 for no result
-- ARGV[8]  the result
-- ARGV[9…] the fields, name and value, without `_dead_at`
-- Returns  o dead-lettered, l lost to another delivery, g gone
local row = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)[1]
if not row then
  return 'g'
end
if row[2] ~= ARGV[2] or row[4] ~= tonumber(ARGV[4]) then
  return 'l'
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local fields = {unpack(ARGV, 9)}
fields[#fields + 1] = '_dead_at'
fields[#fields + 1] = string.format('%.0f', now)
-- Both change nothing. Redis allows them over maxmemory, and then allows the script's later writes too. A
-- missing right shows before anything is moved.
redis.call('XACK', KEYS[1], ARGV[1], '0-0')
redis.call('XDEL', KEYS[1], '0-0')
-- The result first: if Redis refuses it, a repeated call must not add another dead letter.
if ARGV[7] ~= '0' then
  redis.call('SET', KEYS[3], ARGV[8], 'PX', ARGV[7])
end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*', unpack(fields))
redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
redis.call('XDEL', KEYS[1], ARGV[3])
-- Last, and its errors are ignored: the job is moved.
redis.pcall('XTRIM', KEYS[2], 'MINID', '~', string.format('%.0f', math.max(now - ARGV[6], 0)))
return 'o'
