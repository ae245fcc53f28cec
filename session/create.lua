-- Stores a new session.
--
-- ARGV own and so on: field, text, ...
-- status 'done', 'exists', 'refused'
return {once(function()
  if alive() then return 'exists' end
  write({unpack(ARGV, own)})
  return 'done'
end), now}
