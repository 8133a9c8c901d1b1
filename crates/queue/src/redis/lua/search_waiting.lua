-- Searches waiting jobs for texts in their fields. Nothing of a job leaves Redis but its id.
--
-- KEYS[1]  waiting
-- ARGV[1]  the cursor, `0` at first
-- ARGV[2]  about how many jobs to read at most
-- ARGV[3…] pairs of a field's name and a text in lower case
-- Returns  {the next cursor, `0` at the end; the number of jobs read; the ids of the jobs found}
-- Uses     waiting, find
--
-- Reads about 50 jobs at once, fewer where they are large, until they cost more than a page may.
local cursor, most, is_found, read, cost, found, count = ARGV[1], tonumber(ARGV[2]), finder(3), 0, 0, {}, 4
repeat
  local page = redis.call('HSCAN', KEYS[1], cursor, 'COUNT', count)
  for i = 1, #page[2], 2 do
    local fields = fields_of(page[2][i + 1])
    local is_one, own_cost = is_found(fields or {})
    -- To unpack the fields costs as much again.
    cost = cost + #page[2][i + 1] + 2 * own_cost
    if is_one then
      found[#found + 1] = page[2][i]
    end
  end
  cursor, read = page[1], read + #page[2] / 2
  count = math.max(1, math.min(50, most - read, math.floor(65536 * read / math.max(cost, 1))))
until cursor == '0' or read >= most or cost >= PAGE_COST
return {cursor, read, found}
