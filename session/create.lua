-- Stores a new session.
--
-- ARGV 8, 9 and so on: field, text, ...
-- status 'done', 'exists', 'refused'
return {once(function()
  if alive() then return 'exists' end
  redis.call('HSET', key, unpack(ARGV, 8))
  slide()
  return 'done'
end), now}
