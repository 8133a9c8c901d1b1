-- Makes the consumer group where it is missing, from the first entry on, so that nothing is passed over.
--
-- KEYS[1]  jobs
-- ARGV[1]  group
-- Returns  {1 if the group was made, else 0; Redis' time in Unix ms}
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then
  return made
end
local time = redis.call('TIME')
return {made.err and 0 or 1, time[1] * 1000 + math.floor(time[2] / 1000)}
