-- Removes a worker, and hands back the jobs that were delivered to it and never reached it: Redis' reply was
-- lost, or the fetcher had stopped. If the consumer were removed with pending entries, no worker would read
-- them again.
--
-- KEYS[1]  jobs
-- KEYS[2]  workers
-- KEYS[3]  order
-- ARGV[1]  group
-- ARGV[2]  consumer
-- ARGV[3]  the mark of the shard
-- Returns  {jobs handed back; 1 if the worker is removed, 0 if it still holds entries}
-- Uses     clock, whole, probe, stream, waiting, trust, line
--
-- A call hands back at most 100 jobs.
probe_stream(KEYS[1], ARGV[1])
local now = clock()
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 101, ARGV[2])
local handed_back = 0
for i = 1, math.min(#pending, 100) do
  local id = pending[i][1]
  local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
  -- An entry with more fields than a script can carry stays pending for the reclaimer of another worker.
  if not entry or #entry[2] <= 2048 then
    if entry then
      local place = place_of_entry(id, entry[2], ARGV[3])
      if place then
        -- Jobs of its line that are before its new entry must not overtake it.
        redis.call('ZADD', KEYS[3], 0, place)
      end
      local fields, is_ours = trusted(entry[2], ARGV[3])
      local named
      for index = 1, #fields, 2 do
        named = fields[index] == '_job_id' and fields[index + 1] or named
      end
      if not named then
        fields[#fields + 1] = '_job_id'
        fields[#fields + 1] = id
      end
      if not is_ours or not named then
        -- A delay counts from this time, and not from the new entry's id.
        local at = tonumber(string.match(id, '^%d+'))
        fields[#fields + 1] = '_enqueued_at'
        fields[#fields + 1] = whole((at > now or at < now - 86400000) and now or at)
      end
      fields[#fields + 1] = '_mark'
      fields[#fields + 1] = redis.sha1hex(ARGV[3] .. (named or id))
      redis.call('XADD', KEYS[1], '*', unpack(fields))
    end
    leave_stream(KEYS[1], ARGV[1], id)
    handed_back = handed_back + 1
  end
end
if handed_back < #pending then
  return {handed_back, 0}
end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
redis.call('HDEL', KEYS[2], ARGV[2])
return {handed_back, 1}
