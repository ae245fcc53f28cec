-- Removes a session, if there is one. A key of another type is an error and stays.
--
-- status 'done', 'refused'
return {once(function()
  redis.call('HLEN', key)
  redis.call('DEL', key)
  return 'done'
end), now}
