-- Hands a job back: moves it to the end of the stream, ready for any worker.
--
-- KEYS[1]  jobs
-- ARGV[1]  group
-- ARGV[2]  consumer
-- ARGV[3]  entry id
-- ARGV[4]  delivery count
-- ARGV[5…] the fields, name and value
-- Returns  o handed back, l lost to another delivery, g gone
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
redis.call('XADD', KEYS[1], '*', unpack(ARGV, 5))
redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
redis.call('XDEL', KEYS[1], ARGV[3])
return 'o'
