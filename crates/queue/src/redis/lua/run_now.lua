-- Moves one scheduled or held job to the stream, before its time or before its flow admits it.
--
-- KEYS[1]  jobs
-- KEYS[2]  waiting
-- KEYS[3]  scheduled, or the set of a flow
-- KEYS[4]  flows; the same key as KEYS[3] for a scheduled job
-- ARGV[1]  job id
-- ARGV[2]  the value of `_admitted` for a held job, so that it passes its flow
-- Returns  the new entry's id, or g gone, b not a job that can be moved
-- Uses     waiting
local packed = redis.call('HGET', KEYS[2], ARGV[1])
if not packed then
  return 'g'
end
local fields = fields_of(packed)
if not fields then
  return 'b'
end
probe_waiting(KEYS[2], KEYS[3])
redis.call('ZREM', KEYS[4], '')
if KEYS[4] ~= KEYS[3] then
  fields[#fields + 1] = '_admitted'
  fields[#fields + 1] = ARGV[2]
end
local id = redis.call('XADD', KEYS[1], '*', unpack(fields))
leave_waiting(KEYS[2], KEYS[3], ARGV[1])
if KEYS[4] ~= KEYS[3] and redis.call('EXISTS', KEYS[3]) == 0 then
  -- It was the flow's last held job.
  redis.call('ZREM', KEYS[4], string.match(KEYS[3], '[^:]+$'))
end
return id
