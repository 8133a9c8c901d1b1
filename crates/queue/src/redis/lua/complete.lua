-- Removes succeeded jobs.
--
-- KEYS[1]  jobs
-- ARGV[1]  group
-- ARGV[2]  consumer
-- ARGV[3]  an upper bound of the entries that the consumer holds
-- ARGV[4]  delivery count of all the entries
-- ARGV[5…] entry id; in ascending order; at most 256
-- Returns  a text with a letter for each entry: o finished, l lost to another delivery, g gone
--
-- A repeated call returns g: nothing is pending any more.
-- Uses     stream, settled
local rows = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[5], ARGV[#ARGV], ARGV[3], ARGV[2])
local count, row, held = tonumber(ARGV[4]), 1, true
-- Both are in ascending order. Nearly always, the consumer still holds all entries: that case needs no table.
for i = 5, #ARGV do
  while rows[row] and rows[row][1] ~= ARGV[i] do
    row = row + 1
  end
  if not rows[row] or rows[row][4] ~= count then
    held = false
    break
  end
end
local finished, first, letters = ARGV, 5, nil
if held then
  letters = string.rep('o', #ARGV - 4)
else
  local counts, each = {}, {}
  for _, pending in ipairs(rows) do
    counts[pending[1]] = pending[4]
  end
  finished, first = {}, 1
  for i = 5, #ARGV do
    local id = ARGV[i]
    if counts[id] == count then
      each[#each + 1] = 'o'
      finished[#finished + 1] = id
    elseif #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1) == 0 then
      each[#each + 1] = 'g'
    else
      each[#each + 1] = 'l'
    end
  end
  letters = table.concat(each)
end
if #finished >= first then
  settled('succeeded', leave_stream, KEYS[1], ARGV[1], unpack(finished, first))
end
return letters
