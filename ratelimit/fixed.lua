-- Charges each of several costs to a fixed window if it allows that cost, in their order. It does what charge.lua does for
-- a single fixed window, the most frequent case, in about half of the time.
--
-- KEYS 1 counter
-- ARGV 1 limit; 2 window in milliseconds; then the costs, or one '0' to charge nothing and decide about one more
-- returns {repaired keys, microseconds until the window is reset, then for each cost: allowed (1 or 0), remaining},
--         or an error WRONGTYPE if the key holds something else
--
-- Atomic, because another charge between the look and this one could take what was left.
-- Send it once, because each run charges.
local key, limit, span = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local ttl = span > 1 and span - 1 or 1 -- of a counter: Redis keeps a key for a millisecond more
local text, used, repaired, left = redis.pcall('GET', key), 0, 0, nil
if text then
  -- INCRBY writes such a number, and a float holds that many digits exactly.
  if type(text) ~= 'string' or #text > 15 or text ~= '0' and not string.match(text, '^-?[1-9]%d*$') then
    return redis.error_reply('WRONGTYPE not a count')
  end
  used = tonumber(text)
  left = redis.call('PTTL', key)
end

local charged, reply = 0, {0, 0}
for i = 3, #ARGV do
  local cost = tonumber(ARGV[i])
  local allowed = used + (cost > 0 and cost or 1) <= limit
  if allowed then
    used, charged = used + cost, charged + cost
  end
  reply[#reply+1] = allowed and 1 or 0
  reply[#reply+1] = used < 0 and limit or used < limit and limit - used or 0 -- another program may have counted below 0
end

if charged > 0 and text then
  redis.call('INCRBY', key, charged)
elseif charged > 0 then
  redis.call('SET', key, charged, 'PX', ttl)
  left = ttl
end
if left and (left < 0 or left > span) then
  -- Its writer ended between INCR and EXPIRE, its window was longer, or the clock stepped back.
  left, repaired = ttl, 1
  redis.call('PEXPIRE', key, left)
end
reply[1], reply[2] = repaired, left and (left + 1) * 1000 or 0
return reply
