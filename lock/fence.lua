-- Mints a fence: a number greater than every one minted for this lock before.
--
-- KEYS 1 lock, 2 fence
-- ARGV 1 value of the holder: its token and its TTL
--      2 how long to remember the fence, in milliseconds
-- returns the fence in decimal, or nil if the lock is not the holder's
--
-- One transition: a fence minted apart from the proof of ownership could be greater than the next holder's.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return false
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local fence = string.format('%.0f', math.max(last + 1, now))
redis.call('SET', KEYS[2], fence, 'PX', ARGV[2])
return fence
