-- Stores a session in place of what there is, all of it. Its MaxLifetime and its last activity go on.
--
-- ARGV 8, 9 and so on: field, text, ...
-- status 'done', 'refused'
return {once(function()
  if alive() then redis.call('DEL', key) end
  redis.call('HSET', key, unpack(ARGV, 8))
  slide()
  return 'done'
end), now}
