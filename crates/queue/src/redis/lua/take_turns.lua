-- Lets ordered jobs that were delivered have their turns, or makes them wait for these: moves them from the stream to
-- `order_waiting`, if an earlier job of their line has not ended.
--
-- KEYS[1]  jobs
-- KEYS[2]  order
-- KEYS[3]  order_waiting
-- ARGV[1]  group
-- ARGV[2]  consumer
-- ARGV[3]  the mark of the shard
-- ARGV[4]  an upper bound of the entries that the consumer holds
-- ARGV[5…] for each job its entry id, its delivery count, and its place in its line; in ascending order of the entry ids; at most 256
-- Returns  {a text with a letter for each: t it has its turn, w it waits, l lost to another delivery, g gone; Redis' time, Unix ms}.
--          The text is empty if earlier entries are left to be looked at: call again
-- Uses     clock, whole, probe, stream, waiting, trust, line, again
--
-- The first one to ask must not overtake: several workers fetch the jobs of a line at the same time. So the script first gives every
-- ordered job its place whose entry was delivered and is before the last one here. Entries that it has looked at are not looked at again.
local stream, order, order_waiting, group = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local last, now = ARGV[#ARGV - 2], clock()
local held = {}
for _, row in ipairs(redis.call('XPENDING', stream, group, ARGV[5], last, ARGV[4], ARGV[2])) do
  held[row[1]] = row[4]
end
probe_stream(stream, group)

local places, own = {}, {}
local function add(place)
  places[#places + 1] = 0
  places[#places + 1] = place
end
for i = 5, #ARGV, 3 do
  -- Under a lost lease, the job may have ended, or another worker has it: then it is an earlier job like any other.
  if held[ARGV[i]] == tonumber(ARGV[i + 1]) then
    own[ARGV[i]] = true
    add(ARGV[i + 2])
  end
end

local known = redis.call('ZRANGEBYLEX', order, '[!', '("', 'LIMIT', 0, 1)[1]
local from, seen, bytes, is_end = known and '(' .. string.sub(known, 2) or '-', nil, 0, true
-- A range after the greatest possible id is an error.
local rows = redis.pcall('XPENDING', stream, group, from, last, 1000)
for _, row in ipairs(rows) do
  seen = row[1]
  local entry = not own[seen] and redis.call('XRANGE', stream, seen, seen)[1]
  local place = entry and place_of_entry(seen, entry[2], ARGV[3])
  if place then
    add(place)
  end
  for _, part in ipairs(entry and entry[2] or {}) do
    bytes = bytes + #part
  end
  if bytes > 1048576 then
    is_end = seen == rows[#rows][1]
    break
  end
end
if #places > 0 then
  redis.call('ZADD', order, unpack(places))
end
if seen then
  if known then
    redis.call('ZREM', order, known)
  end
  redis.call('ZADD', order, 0, '!' .. seen)
end
if not is_end or #rows == 1000 then
  return {'', now}
end

-- Moves a job out of the stream, where it waits for its turn. Returns false if its entry was deleted.
local function wait_for_turn(id, place)
  local entry = redis.call('XRANGE', stream, id, id)[1]
  local kept = entry and select(2, place_of_entry(id, entry[2], ARGV[3]))
  if not kept then
    return false
  end
  local job_id = job_in(place)
  if redis.call('HEXISTS', order_waiting, job_id) == 1 then
    -- Never overwrite a waiting job: a producer may have chosen the entry id of another.
    job_id = string.sub(job_id, 1, 80) .. '-' .. id
    redis.call('ZADD', order, 0, string.match(place, '^[^ ]*') .. ' ' .. job_id)
  end
  redis.call('HSET', order_waiting, job_id, cmsgpack.pack(fields_again(id, kept, job_id, ARGV[3], now)))
  leave_stream(stream, group, id)
  return true
end

local letters = {}
for i = 5, #ARGV, 3 do
  local id, place, letter = ARGV[i], ARGV[i + 2], 't'
  if held[id] ~= tonumber(ARGV[i + 1]) then
    letter = #redis.call('XPENDING', stream, group, id, id, 1) == 0 and 'g' or 'l'
  elseif first_in_line(order, place) ~= place then
    letter = wait_for_turn(id, place) and 'w' or 'g'
  end
  letters[#letters + 1] = letter
end
return {table.concat(letters), now}
