-- Stores a new session.
--
-- ARGV own and so on: field, text, ...
-- status 'done', 'exists', 'refused'
local status = before
if not status and hash[1] then
  status = 'exists'
elseif not status then
  write({unpack(ARGV, own)})
  status = 'done'
end
return {recorded(status), now}
