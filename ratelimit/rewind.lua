-- Repairs a GCRA timestamp that is further ahead of Redis's clock than any charge can
-- bring it, because the clock stepped back. It becomes the timestamp of an empty bucket.
--
-- KEYS 1 timestamp as redis_rate keeps it, in seconds since the beginning of 2017
-- ARGV 1 seconds to fill the bucket
-- returns 1 if it was repaired, 0 if there was no need
--
-- Atomic, because a charge between the look and the repair must not be undone.
local time = redis.call('TIME')
local latest = time[1] - 1483228800 + time[2] / 1000000 + ARGV[1]
local timestamp = tonumber(redis.call('GET', KEYS[1]) or 0)
if timestamp <= latest then
  return 0
end
redis.call('SET', KEYS[1], latest, 'EX', math.ceil(tonumber(ARGV[1])))
return 1
