-- Charges n to a fixed window if it allows it, else nothing: what charge.lua does for
-- one policy, the most frequent, in about two thirds of its time.
--
-- KEYS 1 counter
-- ARGV 1 n, or '0' to look how it is for one more; 2 limit; 3 window in milliseconds
-- returns as charge.lua, or an error WRONGTYPE if the key holds something else
--
-- One transition: who else would charge in between could take what was left.
-- To be sent once: each run charges.
local key, n, limit, span = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local life = span > 1 and span - 1 or 1 -- of a counter: a key outlives its last millisecond
local text, used = redis.pcall('GET', key), 0
if text then
  -- What INCRBY writes, few enough digits to be exact in a float.
  if type(text) ~= 'string' or #text > 15 or text ~= '0' and not string.match(text, '^-?[1-9]%d*$') then
    return redis.error_reply('WRONGTYPE not a count')
  end
  used = tonumber(text)
end

local allowed = used + (n > 0 and n or 1) <= limit
if allowed and n > 0 then
  if text then
    redis.call('INCRBY', key, ARGV[1])
  else
    redis.call('SET', key, ARGV[1], 'PX', life)
  end
  used = used + n
end

local repaired, reset = 0, 0
if text then
  local left = redis.call('PTTL', key)
  if left < 0 or left > span then
    -- Its writer died between INCR and EXPIRE, its window was longer, or the clock stepped back.
    left, repaired = life, 1
    redis.call('PEXPIRE', key, left)
  end
  reset = (left + 1) * 1000
elseif used > 0 then
  reset = (life + 1) * 1000
end
local remaining = used < 0 and limit or used < limit and limit - used or 0 -- somebody else may have counted below 0
return {allowed and 1 or 0, repaired, remaining, allowed and 0 or reset, reset}
