-- Charges n to a fixed window if it allows n, else nothing. It does what charge.lua does
-- for a single fixed window, the most frequent case, in about two thirds of the time.
--
-- KEYS 1 counter
-- ARGV 1 n, or '0' to charge nothing and decide about one more; 2 limit; 3 window in milliseconds
-- returns what charge.lua does, or an error WRONGTYPE if the key holds something else
--
-- Atomic, because another charge between the look and this one could take what was left.
-- Send it once, because each run charges.
local key, n, limit, span = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local ttl = span > 1 and span - 1 or 1 -- of a counter: Redis keeps a key for a millisecond more
local text, used = redis.pcall('GET', key), 0
if text then
  -- INCRBY writes such a number, and a float holds that many digits exactly.
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
    redis.call('SET', key, ARGV[1], 'PX', ttl)
  end
  used = used + n
end

local repaired, reset = 0, 0
if text then
  local left = redis.call('PTTL', key)
  if left < 0 or left > span then
    -- Its writer ended between INCR and EXPIRE, its window was longer, or the clock stepped back.
    left, repaired = ttl, 1
    redis.call('PEXPIRE', key, left)
  end
  reset = (left + 1) * 1000
elseif used > 0 then
  reset = (ttl + 1) * 1000
end
local remaining = used < 0 and limit or used < limit and limit - used or 0 -- another program may have counted below 0
return {allowed and 1 or 0, repaired, remaining, allowed and 0 or reset, reset}
