-- Searches the delivery log for texts, the newest records first.
--
-- KEYS[1]  log
-- ARGV[1]  the id before which to begin, or `+` for the newest entry
-- ARGV[2]  about how many records to read
-- ARGV[3]  how many records to return at most, roughly
-- ARGV[4…] texts, as they are written in a record: one of them is enough
-- Returns  {the id before which to go on, or '' at the end; the number of records read; a list of {entry id, record}}
--
-- Uses     oldest
--
-- A record is a line. An entry without a text is not split into lines.
local function has_text(records)
  for i = 4, #ARGV do
    if string.find(records, ARGV[i], 1, true) then
      return true
    end
  end
end

local before, read, found, count = ARGV[1], 0, {}, 4
local final = oldest(KEYS[1], '-', before == '+' and '+' or '(' .. before)
if not final then
  return {'', read, found}
end
while read < tonumber(ARGV[2]) and #found < tonumber(ARGV[3]) do
  local read_before = read
  local page = redis.call('XREVRANGE', KEYS[1], before == '+' and '+' or '(' .. before, '-', 'COUNT', count)
  for _, entry in ipairs(page) do
    read = read + 1
    for i = 1, #entry[2], 2 do
      if entry[2][i] == 'records' then
        local records = entry[2][i + 1]
        read = read + select(2, string.gsub(records, '\n', '\n')) - 1
        if has_text(records) then
          for record in string.gmatch(records, '[^\n]+') do
            if has_text(record) then
              found[#found + 1] = {entry[1], record}
            end
          end
        end
      end
    end
    before = entry[1]
  end
  if before == final then
    return {'', read, found}
  end
  -- An entry may have the record of one job, or those of 256.
  count = read - read_before < 4 * #page and math.min(2 * count, 32) or 4
end
return {before, read, found}
