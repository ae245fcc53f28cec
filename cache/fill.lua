-- Stores the value that a load brought, unless the value was deleted or written meanwhile.
--
-- KEYS 1 value, 2 lease, 3 stale copy
-- ARGV 1 token of this load
--      2 the loaded value
--      3 TTL in milliseconds
--      4 TTL of the stale copy in milliseconds, or '0' to keep none
--      5 SHA-1 of the value that this load replaces, or '' if there was none
--      6 PTTL of that value when the lease was acquired: the same bytes, written again since, have a longer one, or none
-- returns 1 stored, 0 refused
--
-- One transition: the lease proves that nothing was deleted, and it may go at any moment, so the proof and the write are one.
local value = redis.call('GET', KEYS[1])
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  -- A fill that is sent again, because its reply was lost, finds its lease gone and its value there.
  return value == ARGV[2] and 1 or 0
end
redis.call('DEL', KEYS[2])
if ARGV[5] == '' then
  if value then return 0 end
else
  if not value or redis.sha1hex(value) ~= ARGV[5] then return 0 end
  local left, before = redis.call('PTTL', KEYS[1]), tonumber(ARGV[6])
  if left > before or (left < 0) ~= (before < 0) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if ARGV[4] ~= '0' then
  redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[4])
end
return 1
