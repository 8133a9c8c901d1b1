-- Ends pauses of queues and flows.
--
-- KEYS[1]  control
-- ARGV     their fields
-- Returns  for each, 1 if it was paused, else 0
-- Uses     clock, whole, control
local now, were = clock(), {}
for _, field in ipairs(ARGV) do
  were[#were + 1] = lasting(redis.call('HGET', KEYS[1], field), now) and 1 or 0
end
redis.call('HDEL', KEYS[1], unpack(ARGV))
return were
