-- Removes a session, or nothing. A key of another type is an error and stays.
--
-- status 'done', 'refused'
return {once(function()
  redis.call('HLEN', key)
  redis.call('DEL', key)
  return 'done'
end), now}
