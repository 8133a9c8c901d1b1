-- Moves a job to the dead letters.
--
-- KEYS[1]  jobs
-- KEYS[2]  dead
-- KEYS[3]  result; the same key as KEYS[2] where nobody waits for one
-- ARGV[1]  group
-- ARGV[2]  consumer
-- ARGV[3]  entry id
-- ARGV[4]  delivery count
-- ARGV[5]  about how many dead letters are kept; the eldest go
-- ARGV[6]  how long the result is kept, ms, or 0 for no result
-- ARGV[7]  the result
-- ARGV[8…] the fields, name and value, without `_dead_at`
-- Returns  o buried, l lost to another delivery, g gone
local row = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)[1]
if not row then
  return 'g'
end
if row[2] ~= ARGV[2] or row[4] ~= tonumber(ARGV[4]) then
  return 'l'
end
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local fields = {unpack(ARGV, 8)}
fields[#fields + 1] = '_dead_at'
fields[#fields + 1] = now
-- Both change nothing and are allowed over maxmemory, after which no further write of the script is refused
-- for it; and a right that is missing shows before anything is moved.
redis.call('XACK', KEYS[1], ARGV[1], '0-0')
redis.call('XDEL', KEYS[1], '0-0')
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*', unpack(fields))
if ARGV[6] ~= '0' then
  redis.call('SET', KEYS[3], ARGV[7], 'PX', ARGV[6])
end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
redis.call('XDEL', KEYS[1], ARGV[3])
return 'o'
