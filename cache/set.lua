-- Stores a value and ends every load that began before it.
--
-- KEYS 1 value, 2 lease, 3 stale copy
-- ARGV 1 value
--      2 TTL in milliseconds
--      3 TTL of the stale copy in milliseconds, or '0' to keep none
-- returns 1
--
-- One transition: a load between the write and the end of its lease would overwrite the newer value.
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('DEL', KEYS[2], KEYS[3])
if ARGV[3] ~= '0' then
  redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[3])
end
return 1
