-- Removes a worker, and hands back what was delivered to it and never came into its hands: a reply that was
-- lost, or an entry that reached a reader which had stopped. Removed with something pending, that would never
-- be read again.
--
-- KEYS[1]  jobs
-- KEYS[2]  workers
-- ARGV[1]  group
-- ARGV[2]  consumer
-- Returns  {how many jobs were handed back; 1 if the worker is removed, 0 if it still holds something}
--
-- At most 100 jobs are handed back in one call.
redis.call('XACK', KEYS[1], ARGV[1], '0-0')
redis.call('XDEL', KEYS[1], '0-0')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 101, ARGV[2])
local handed_back = 0
for i = 1, math.min(#pending, 100) do
  local id = pending[i][1]
  local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
  -- An entry with more fields than a script can carry is left to whoever takes it over.
  if not entry or #entry[2] <= 2048 then
    if entry then
      local fields, named, dated = entry[2], false, false
      for f = 1, #fields, 2 do
        named = named or fields[f] == '_ticket'
        dated = dated or fields[f] == '_at'
      end
      if not named then
        fields[#fields + 1] = '_ticket'
        fields[#fields + 1] = id
      end
      if not dated then
        -- A delay counts from here, and not from the new entry's id.
        local at = tonumber(string.match(id, '^%d+'))
        fields[#fields + 1] = '_at'
        fields[#fields + 1] = string.format('%.0f', (at > now or at < now - 86400000) and now or at)
      end
      redis.call('XADD', KEYS[1], '*', unpack(fields))
    end
    redis.call('XDEL', KEYS[1], id)
    redis.call('XACK', KEYS[1], ARGV[1], id)
    handed_back = handed_back + 1
  end
end
if handed_back < #pending then
  return {handed_back, 0}
end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
redis.call('HDEL', KEYS[2], ARGV[2])
return {handed_back, 1}
