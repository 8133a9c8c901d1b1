-- Replaces a dead letter by a new job.
--
-- KEYS[1]  jobs
-- KEYS[2]  dead, or rejected
-- KEYS[3]  mark
-- KEYS[4]  order, and KEYS[5] order_stopped; missing for a job without an order key
-- ARGV[1]  the dead letter's entry id
-- ARGV[2]  the time until the new job expires, ms, or 0 for never
-- ARGV[3]  the traceparent of its attempts' parent, or an empty text
-- ARGV[4]  a mark, for a shard without one
-- ARGV[5]  with KEYS[4]: the place of the dead letter in its line, and ARGV[6] the id that decides its position
-- Returns  the new job's entry id, which is its job id; or g gone, b no job can be made of it
-- Uses     clock, whole
--
-- The new job is ready at once. It keeps the history, its own fields, and whose callback it is, except those of times that are over.
-- If the dead letter stops its line, the new job takes its place.
local entry = redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1])[1]
if not entry then
  return 'g'
end
local over = {delay_ms = true, not_before = true, expires_at = true}
local fields, job_id, url = {}, ARGV[1], false
for i = 1, #entry[2], 2 do
  local name, value = entry[2][i], entry[2][i + 1]
  url = url or name == 'url'
  if name == '_job_id' then
    job_id = value
  end
  if name == '_history' or name == '_callback_of' or (string.sub(name, 1, 1) ~= '_' and not over[name]) then
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
end
if not url or #fields > 1024 then
  return 'b'
end
-- It changes nothing. Redis allows it over maxmemory, and then allows the script's later writes too. A
-- missing right shows before anything is moved.
redis.call('XDEL', KEYS[2], '0-0')
redis.call('SET', KEYS[3], ARGV[4], 'NX')
local mark = redis.call('GET', KEYS[3])
for _, text in ipairs({'_replay_of', job_id, '_mark', redis.sha1hex(mark .. job_id)}) do
  fields[#fields + 1] = text
end
if ARGV[3] ~= '' then
  fields[#fields + 1] = '_traceparent'
  fields[#fields + 1] = ARGV[3]
end
if ARGV[2] ~= '0' then
  fields[#fields + 1] = 'expires_at'
  fields[#fields + 1] = whole(clock() + ARGV[2])
end
local stops = KEYS[5] and redis.call('HEXISTS', KEYS[5], ARGV[5]) == 1
if stops then
  fields[#fields + 1] = '_place'
  fields[#fields + 1] = ARGV[6]
end
local id = redis.call('XADD', KEYS[1], '*', unpack(fields))
if stops then
  redis.call('ZADD', KEYS[4], 0, string.match(ARGV[5], '^[^ ]*') .. ' ' .. id)
  redis.call('HDEL', KEYS[5], ARGV[5])
  redis.call('ZREM', KEYS[4], ARGV[5])
end
redis.call('XDEL', KEYS[2], ARGV[1])
return id
