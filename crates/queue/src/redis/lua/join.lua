-- Creates the consumer group if it is missing. It starts at the first entry, so that no entry is skipped.
--
-- KEYS[1]  jobs
-- KEYS[2]  mark
-- ARGV[1]  group
-- ARGV[2]  a mark, for a shard without one
-- Returns  {1 if the group was created, else 0; Redis' time in Unix ms; the mark}
-- Uses     clock
local made = 1
-- Check first: over maxmemory, Redis refuses XGROUP CREATE even for a group that exists.
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
for _, group in ipairs(groups) do
  -- A list of names and values: {'name', NAME, …}
  if group[2] == ARGV[1] then
    made = 0
  end
end
if made == 1 then
  redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
end
local mark = redis.pcall('GET', KEYS[2])
if not mark then
  -- Redis allows this over maxmemory, and then the write after it: workers that use their own marks would not believe each
  -- other's entries.
  redis.pcall('XACK', KEYS[1], ARGV[1], '0-0')
  redis.pcall('SET', KEYS[2], ARGV[2], 'NX')
  mark = redis.pcall('GET', KEYS[2])
end
return {made, clock(), type(mark) == 'string' and mark or ARGV[2]}
