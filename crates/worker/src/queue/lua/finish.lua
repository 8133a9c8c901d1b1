-- Takes out jobs that are done.
--
-- KEYS[1]  jobs
-- ARGV[1]  group
-- ARGV[2]  consumer
-- ARGV[3]  at least how many entries the consumer holds
-- ARGV[4…] entry id, delivery count; in ascending order of id; at most 256 pairs
-- Returns  a text with a letter for each pair: o finished, l lost to another delivery, g gone
--
-- Repeated, it answers g: nothing is pending any more.
local held = {}
for _, row in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[4], ARGV[#ARGV - 1], ARGV[3], ARGV[2])) do
  held[row[1]] = row[4]
end
local letters, finished = {}, {}
for i = 4, #ARGV, 2 do
  local id = ARGV[i]
  if held[id] == tonumber(ARGV[i + 1]) then
    letters[#letters + 1] = 'o'
    finished[#finished + 1] = id
  elseif #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1) == 0 then
    letters[#letters + 1] = 'g'
  else
    letters[#letters + 1] = 'l'
  end
end
if #finished > 0 then
  -- The entry first: acknowledged and not deleted, it would be delivered again if the group were made anew.
  redis.call('XDEL', KEYS[1], unpack(finished))
  redis.call('XACK', KEYS[1], ARGV[1], unpack(finished))
end
return table.concat(letters)
