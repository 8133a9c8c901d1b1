-- Removes a worker, and hands back what was delivered to it and never came into its hands: a reply that was
-- lost, or an entry that reached a reader which had stopped. Removed with something pending, that would never
-- be read again.
--
-- KEYS[1]  jobs
-- KEYS[2]  workers
-- ARGV[1]  group
-- ARGV[2]  consumer
-- Returns  how many jobs were handed back, or -1 if there are more than 100 and the worker stays for now
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 101, ARGV[2])
for i = 1, math.min(#pending, 100) do
  local id = pending[i][1]
  local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
  if entry then
    local fields, named = entry[2], false
    for f = 1, #fields, 2 do
      named = named or fields[f] == '_ticket'
    end
    if not named then
      fields[#fields + 1] = '_ticket'
      fields[#fields + 1] = id
    end
    redis.call('XADD', KEYS[1], '*', unpack(fields))
  end
  redis.call('XACK', KEYS[1], ARGV[1], id)
  redis.call('XDEL', KEYS[1], id)
end
if #pending > 100 then
  return -1
end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
redis.call('HDEL', KEYS[2], ARGV[2])
return #pending
