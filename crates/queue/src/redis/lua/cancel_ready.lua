-- Cancels a job that is in the stream, ready or running, and dead-letters it.
--
-- KEYS[1]  jobs
-- KEYS[2]  dead
-- KEYS[3]  result; the same key as KEYS[2] without a result
-- ARGV[1]  group
-- ARGV[2]  entry id
-- ARGV[3]  job id
-- ARGV[4]  `_error`, one sentence
-- ARGV[5]  about how many dead letters are kept; the oldest are deleted
-- ARGV[6]  about how long dead letters are kept, ms
-- ARGV[7]  how long the result is kept, ms, or 0 for no result
-- ARGV[8]  the result
-- Returns  o it was ready, r it was running, g gone, b too many fields to move it
-- Uses     clock, whole, probe, stream, dead, settled
--
-- The worker that ran it finds its lease lost: it aborts the request, and can no longer settle the job.
local entry = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]
if not entry then
  return 'g'
end
if #entry[2] > 1024 then
  return 'b'
end
local held = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1)
if held.err and not string.find(held.err, 'NOGROUP', 1, true) then
  return held
end
local kept = {_enqueued_at = true, _attempt = true, _traceparent = true, _history = true, _replay_of = true}
local fields, at = {}, string.match(ARGV[2], '^%d+')
for i = 1, #entry[2], 2 do
  local name, value = entry[2][i], entry[2][i + 1]
  if string.sub(name, 1, 1) ~= '_' or kept[name] then
    fields[#fields + 1] = name
    fields[#fields + 1] = value
    at = name ~= '_enqueued_at' and at or nil
  end
end
if at then
  fields[#fields + 1] = '_enqueued_at'
  fields[#fields + 1] = at
end
for _, text in ipairs({'_job_id', ARGV[3], '_reason', 'cancelled', '_error', ARGV[4]}) do
  fields[#fields + 1] = text
end
probe_stream(KEYS[1], ARGV[1])
-- The result first: if Redis refuses it, a repeated call must not add another dead letter.
if ARGV[7] ~= '0' then
  redis.call('SET', KEYS[3], ARGV[8], 'PX', ARGV[7])
end
add_dead_letter(KEYS[2], fields, clock(), ARGV[5], ARGV[6])
settled('cancelled', leave_stream, KEYS[1], ARGV[1], ARGV[2])
return not held.err and held[1] and 'r' or 'o'
