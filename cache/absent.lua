-- Ends a load that found no value: deletes the value and its stale copy, and remembers for a while that there is none.
--
-- KEYS 1 value, 2 lease, 3 stale copy
-- ARGV 1 token of this load
--      2 how long to remember, in milliseconds, or '0' for not at all
--      3 SHA-1 of the value that this load replaces, or '' if there was none
--      4 PTTL of that value when the lease was acquired: the same bytes, written again since, have a longer one, or none
-- returns 1 done, 0 refused: the lease was lost, or the value was written or deleted meanwhile
--
-- One transition: the memory, '-:' and its TTL, may replace the token only while the token is there.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[2])
local value = redis.call('GET', KEYS[1])
if ARGV[3] == '' then
  if value then return 0 end
else
  if not value or redis.sha1hex(value) ~= ARGV[3] then return 0 end
  local left, before = redis.call('PTTL', KEYS[1]), tonumber(ARGV[4])
  if left > before or (left < 0) ~= (before < 0) then return 0 end
end
redis.call('DEL', KEYS[1], KEYS[3])
if ARGV[2] ~= '0' then
  redis.call('SET', KEYS[2], '-:' .. ARGV[2], 'PX', ARGV[2])
end
return 1
