-- Changes one field, if it has the text that the transition begins with.
--
-- status 'done', 'absent', 'conflict', 'refused', with the session
local field      = ARGV[own]
local from       = ARGV[own + 1] -- the text that the field must have
local mayBeUnset = ARGV[own + 2] -- '1' if the field may also be missing
local to         = ARGV[own + 3] -- the text that it gets
local status, held = before, hash[at[field]]
if not status and not hash[1] then
  status = 'absent'
elseif not status and held ~= from and (held or mayBeUnset ~= '1') then
  status = 'conflict'
elseif not status then
  write({field, to})
  status = 'done'
end
return {recorded(status), now, hash}
