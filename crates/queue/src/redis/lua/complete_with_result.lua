-- Removes one succeeded job and stores its result.
--
-- KEYS[1]  jobs
-- KEYS[2]  result
-- ARGV[1]  group
-- ARGV[2]  consumer
-- ARGV[3]  entry id
-- ARGV[4]  delivery count
-- ARGV[5]  how long the result is kept, ms
-- ARGV[6]  the result
-- Returns  o finished, l lost to another delivery, g gone
local row = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)[1]
if not row then
  return 'g'
end
if row[2] ~= ARGV[2] or row[4] ~= tonumber(ARGV[4]) then
  return 'l'
end
-- Both change nothing. Redis allows them over maxmemory, and then allows the script's later writes too. A
-- missing right shows before anything is moved.
redis.call('XACK', KEYS[1], ARGV[1], '0-0')
redis.call('XDEL', KEYS[1], '0-0')
redis.call('SET', KEYS[2], ARGV[6], 'PX', ARGV[5])
redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
redis.call('XDEL', KEYS[1], ARGV[3])
return 'o'
