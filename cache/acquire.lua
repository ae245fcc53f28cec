-- Answers a miss: the value if somebody has stored one, else the lease to load it.
--
-- KEYS 1 value, 2 lease
-- ARGV 1 token of this load
--      2 lease TTL in milliseconds
--      3 SHA-1 of the value that this load means to replace, or '' for none
-- returns {'value', value}   somebody stored one
--         {'absent'}         it is remembered that there is none
--         {'held'}           a load holds the lease
--         {'owned', pttl}    the lease is this load's; pttl of the value that it replaces, or -2
--
-- One transition: between "no value" and "the lease is mine" no other load may store.
-- To be sent once: a copy that was stuck until a Delete took the lease away would bring it back.
local value = redis.call('GET', KEYS[1])
if value and (ARGV[3] == '' or redis.sha1hex(value) ~= ARGV[3]) then
  return {'value', value}
end
local lease = redis.call('GET', KEYS[2])
if lease == '-' and not value then
  return {'absent'}
end
if lease and lease ~= '-' then
  return {'held'}
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return {'owned', redis.call('PTTL', KEYS[1])}
