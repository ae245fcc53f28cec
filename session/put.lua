-- Stores a session in place of what there is, all of it. Its MaxLifetime and its last activity go on.
--
-- ARGV own and so on: field, text, ...
-- status 'done', 'refused'
return {once(function()
  if alive() then redis.call('DEL', key) end
  hash, at = {}, {}
  write({unpack(ARGV, own)})
  return 'done'
end), now}
