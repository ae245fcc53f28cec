-- Stores a session in place of what there is, all of it. Its MaxLifetime and its last activity go on.
--
-- ARGV own and so on: field, text, ...
-- status 'done', 'refused'
local status = before
if not status then
  if hash[1] then redis.call('DEL', key) end
  hash, at = {}, {}
  write({unpack(ARGV, own)})
  status = 'done'
end
return {recorded(status), now}
