-- Reads what operators have set for all workers, and removes what has ended.
--
-- KEYS[1]  control
-- ARGV     none
-- Returns  {Redis' time, Unix ms; a list of each field and its end, Unix ms, or 0 for no end}
-- Uses     clock, whole, control
--
-- Every worker calls it each second: it returns no text for people.
local now = clock()
return {now, read_control(KEYS[1], now)}
