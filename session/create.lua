-- Stores a new session.
--
-- ARGV own and so on: field, text, ...
-- status 'done', 'exists', 'refused'
return {once(function()
  if alive() then return 'exists' end
  redis.call('HSET', key, unpack(ARGV, own))
  slide()
  return 'done'
end), now}
