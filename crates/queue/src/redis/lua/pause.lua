-- Pauses queues and flows for all workers, or changes the end of their pauses.
--
-- KEYS[1]  control
-- ARGV[1]  when the pauses end, Unix ms, or 0
-- ARGV[2]  how long they take, ms, if ARGV[1] is 0; 0 for no end
-- ARGV[3]  how many fields the hash may have
-- ARGV[4…] for each pause its field, and a JSON object for people
-- Returns  {Redis' time, Unix ms; when the pauses end, Unix ms, or 0; `paused`, or why nothing is changed: `over` if
--          that time is over, `full` if the hash has too many fields; for each whether it was paused before, 1 or 0}
-- Uses     clock, whole, control
--
-- A pause that lasts keeps the time at which it began.
local now = clock()
-- As it changes nothing, Redis allows it over maxmemory, and then allows the script's later writes too.
redis.call('HDEL', KEYS[1], '')
local ends, were = tonumber(ARGV[1]), {}
if ends == 0 and ARGV[2] ~= '0' then
  ends = now + ARGV[2]
elseif ends > 0 and ends <= now then
  return {now, ends, 'over', were}
end
read_control(KEYS[1], now)
local fields, more = redis.call('HLEN', KEYS[1]), {}
for i = 4, #ARGV, 2 do
  local before, since = lasting(redis.call('HGET', KEYS[1], ARGV[i]), now)
  were[#were + 1] = before and 1 or 0
  fields = fields + (before and 0 or 1)
  more[#more + 1] = ARGV[i]
  more[#more + 1] = whole(ends) .. ' ' .. whole(before and since > 0 and since or now) .. ' ' .. ARGV[i + 1]
end
if fields > tonumber(ARGV[3]) then
  return {now, ends, 'full', were}
end
redis.call('HSET', KEYS[1], unpack(more))
return {now, ends, 'paused', were}
