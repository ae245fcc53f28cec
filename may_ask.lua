-- Says whether this user may read min-replicas-to-write. A CONFIG GET that is denied would
-- be an entry in the server's ACL LOG, and an error in its statistics, at every check.
--
-- KEYS none
-- ARGV none
-- returns 1 if so, 0 otherwise
--
-- It reads and writes no key. A script, because only scripts can ask this of the server.
return redis.acl_check_cmd('config', 'get', 'min-replicas-to-write') and 1 or 0
