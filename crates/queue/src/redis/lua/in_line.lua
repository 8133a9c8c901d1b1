-- Settles ordered jobs: runs the script of the transition, whose text is put below in place of the last line, without the last keys and
-- arguments. Then the next job of the line of each job that has ended has its turn.
--
-- KEYS[…]  the keys of the script; then jobs, order, order_waiting, order_stopped
-- ARGV[…]  the arguments of the script; then for each job its place in its line, in the order of the script's replies; the number of
--          these places; what becomes of the lines: `pass` the turn to the next job, `keep` the place, or `stop` the line;
--          for `stop`, why the line is stopped, as JSON, else an empty text
-- Returns  what the script returns
-- Uses     waiting, trust, line
local stopped, order_waiting, order, jobs = table.remove(KEYS), table.remove(KEYS), table.remove(KEYS), table.remove(KEYS)
local note, mode, count, places = table.remove(ARGV), table.remove(ARGV), tonumber(table.remove(ARGV)), {}
for i = count, 1, -1 do
  places[i] = table.remove(ARGV)
end

local function settle_all()
  -- HERE
end

local reply = settle_all()
if type(reply) == 'table' and reply.err then
  return reply
end
local letters, ended = type(reply) == 'table' and reply[1] or reply, {}
for i, place in ipairs(places) do
  local letter = string.sub(letters, i, i)
  if letter == 'o' or letter == 'r' then
    ended[#ended + 1] = place
  end
end
if mode == 'pass' then
  leave_lines(jobs, order, order_waiting, ended)
else
  for _, place in ipairs(ended) do
    -- The place first: without it, the line would not be stopped, or the job would be overtaken.
    redis.pcall('ZADD', order, 0, place)
    if mode == 'stop' then
      -- Only scripts that dead-letter a job stop a line. The note gets the entry of the dead letter.
      note = string.sub(note, 1, -2) .. ',"entry":"' .. new_letter.id .. '"}'
      redis.pcall('HSET', stopped, place, note)
    end
  end
end
return reply
