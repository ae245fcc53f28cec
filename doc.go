// Package rediskit connects a service to Redis, so that the service keeps working
// when Redis does not.
//
//	rdb, err := rediskit.Connect(ctx, rediskit.Config{})
//
// The zero [Config] means redis:6379, and the password in the Docker secret
// redis_password. [ConfigFromEnv] reads the configuration from environment variables
// such as REDIS_URL and REDIS_ADDR. [Connect] returns a client of go-redis, for one
// server, for Sentinels or for a Cluster. The packages beside this one, such as cache,
// take that client. [Check] reports the health of each node. [Open] returns the client
// without waiting, for a service that starts before its Redis; [Ready] then waits.
//
// # What is guaranteed
//
//   - Connect waits for a Redis that is still starting, until its context ends. If
//     waiting does not help, it fails at once and says what to do.
//   - A client of Open works as soon as Redis does: near caches, hubs and waiters that
//     were made with it too. What waiting does not mend is told by each call as
//     [ErrMisconfigured], and not as an outage. It ends when it is mended at the server.
//   - A Cluster of which a primary is down is ready: the slots that are served work.
//   - [IsOutage] tells an outage from a mistake. [Config.OnState] and [States] show each
//     circuit breaker, with the reason for which it opened last.
//   - A dead Redis costs each caller at most two time-outs: PoolTimeout for a
//     connection, and ReadTimeout for the reply. A silent node of a Cluster costs at most
//     four of each. After five failures in a row the circuit breaker opens:
//     calls are refused with [ErrUnavailable], in less than a microsecond. They are
//     refused until a ping is answered. One caller sends that ping, and waits for it,
//     250 ms after the breaker opened and 250 ms after each ping that failed. On a
//     Cluster each node has a breaker of its own. docs/outages.md has the figures.
//   - A Redis that is slow but not dead collects [Config.MaxWaiting] calls at most. Those
//     beyond it are refused with [ErrOverloaded], which was not sent. The packages
//     beside this one treat it as they treat ErrUnavailable.
//   - Every reply counts as a success for the breaker, except LOADING, MASTERDOWN and the
//     refusal of a client beyond maxclients. Some errors never count against Redis: a
//     caller's own deadline of less than 50 ms, a cancelled context, any deadline of a
//     command that blocks (BLPOP, XREAD BLOCK, WAIT), and connections that all end at once
//     while new ones can be made.
//   - Every connection leads to the server that counts: the primary that the greatest
//     configuration epoch of the Sentinels names, the newest owner of a Cluster's slots,
//     or the server that is behind one address now. The first reply that shows a
//     demotion closes all connections to the old server, those of near caches, hubs and
//     waiters included. An address that leads to another server in silence, while the
//     old one stays a primary, is noticed within 5 s, with TLS within 30 s, while a near
//     cache, a hub or a waiter has a connection. docs/partitions.md has the figures.
//   - After a time-out, if the server answers on a fresh connection, an idle connection
//     is used again only once it has answered a PING. So a NAT that has forgotten its
//     connections costs each caller one slow call, and not one per connection.
//   - A server that is not well is dialled at most 20 times a second, by at most four
//     dials at once.
//   - What a call has not sent when it gives up is never sent: its connection is reset.
//   - A rotated password needs no restart and fails no call. The password is read for
//     every new connection. While it cannot be read, the last good one is used.
//   - No error of this package contains a password, the name of a user, a key or a
//     value. Errors do contain addresses and file names.
//   - A Connect that fails leaves no connection and no goroutine behind.
//
// # What is not guaranteed
//
//   - A command may run twice. It is sent again, up to two times, if its connection
//     ends, unless its NoRetry method reports true. A server that ran it before the
//     connection ended runs it again. The same holds for a pipeline if none of its
//     commands was answered, but never for a transaction. After a time-out nothing is
//     sent again, with one exception: go-redis's Cluster client repeats, up to three
//     times, what it may repeat.
//   - A call whose context is cancelled while it waits for the reply ends after
//     ReadTimeout at the latest. A deadline on the context ends it on time.
//   - It takes ReadTimeout at least to notice a server that stops answering. Each
//     caller of that moment waits that long once.
//   - An answered ping does not prove that a primary accepts writes.
//   - Packets that are in the network already may arrive after their call has given up.
//   - A primary that is cut off confirms writes that the next one does not have, until
//     the client hears of the next one. The server's min-replicas-to-write bounds that;
//     [Config.MinReplicas] refuses a server without it.
//   - A client that go-redis itself made has none of this: its connections stay with a
//     demoted server until they end, and so do the packages that follow them.
//
// # Rotating a password
//
//  1. Make Redis accept both passwords: ACL SETUSER app >new.
//  2. Change the secret. If it is mounted as a file, change it in place.
//  3. Remove the old password: ACL SETUSER app <old.
//
// Open connections stay open.
//
// # Permissions
//
// Beside the commands of its job, the ACL user needs:
//
//   - +@connection -@dangerous;
//   - +info, for [Check] to report more than the role, the mode and the version, and to
//     notice another primary behind the same address;
//   - +eval, for [Check] where min-replicas-to-write is set, and +config|get to know the
//     number. Config.MinReplicas of 1 needs neither: INFO tells whether any replica is
//     required. Note that +config|get shows all settings, masterauth too;
//   - at the Sentinels: +sentinel, or SENTINEL with GET-MASTER-ADDR-BY-NAME, MASTER,
//     SENTINELS and MYID;
//   - +cluster|slots, +cluster|nodes and +command on a Cluster. Without +cluster|nodes,
//     the owner of a slot is the one that most nodes name, and OnError says so. Without
//     +command, go-redis asks three
//     nodes for COMMAND before every command.
//
// # Logs
//
// This package does not log unasked, but for a line a minute while Ready waits without an
// OnError. Config.OnError receives the errors that no caller gets, and [NewLog] makes one
// that logs them: one line for a flood of equal errors, with a count. go-redis logs to standard error; redis.SetLogger sends its log elsewhere, as an
// example shows.
package rediskit
