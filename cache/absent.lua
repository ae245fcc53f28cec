-- Ends a load that found nothing: no value, no stale copy, and for a while the memory of that.
--
-- KEYS 1 value, 2 lease, 3 stale copy
-- ARGV 1 lease of this load
--      2 how long to remember, in milliseconds, or '0' for not at all
--      3 SHA-1 of the value that this load replaces, or '' if there was none
-- returns 1 done, 0 refused: the lease was lost or somebody wrote a value meanwhile
--
-- One transition: '-' takes the place of the token only while the token is there.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[2])
local value = redis.call('GET', KEYS[1])
if value then
  if ARGV[3] == '' or redis.sha1hex(value) ~= ARGV[3] then return 0 end
  redis.call('DEL', KEYS[1])
end
redis.call('DEL', KEYS[3])
if ARGV[2] ~= '0' then
  redis.call('SET', KEYS[2], '-', 'PX', ARGV[2])
end
return 1
