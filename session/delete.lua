-- Removes a session, if there is one. A key of another type is an error and stays.
--
-- status 'done', 'refused'
local status = before
if not status then
  redis.call('DEL', key)
  status = 'done'
end
return {recorded(status), now}
