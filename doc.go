// Package rediskit connects a service to Redis so that it stays up when Redis does
// not.
//
//	rdb, err := rediskit.Connect(ctx, rediskit.Config{})
//
// With the zero [Config] this is redis:6379 and the password in the Docker secret
// redis_password; [ConfigFromEnv] reads REDIS_URL, REDIS_ADDR and their like. The
// result is go-redis's own client, for one server, for Sentinels or for a Cluster.
// The packages beside this one, such as cache, take it.
//
// # What is guaranteed
//
//   - Connect waits for a Redis that is still starting, until its context ends, and
//     fails at once, saying what to do, where waiting does not help.
//   - A dead Redis costs each caller no more than one time-out, a silent node of a
//     Cluster four. After five failures in a row calls are refused with
//     [ErrUnavailable], in less than a microsecond, until a ping is answered:
//     a caller sends it, and waits for it, 250 ms after the breaker opened and after
//     each ping that failed. On a Cluster this goes by node. docs/outages.md has the figures.
//   - A reply, whatever it says, counts as life, except LOADING. A caller's own short
//     deadline (less than 50 ms) or cancellation never counts against Redis, nor does
//     any deadline of a command that blocks (BLPOP, XREAD BLOCK, WAIT), nor do
//     connections that end all at once while new ones can be had.
//   - A rotated password needs no restart and fails no call. It is read for every new
//     connection; one that cannot be read is replaced by the last good one.
//   - No error of this package tells a password, a user's name, a key or a value.
//     Addresses and file names are told.
//   - A failed Connect leaves no connection and no goroutine behind.
//
// # What is not
//
//   - A command whose connection dies is sent again, up to twice, unless its NoRetry
//     reports true; a server that ran it before the connection died runs it again. So
//     is a pipeline of which nothing was answered; a transaction never is.
//     After a time-out nothing is sent again, except by go-redis's Cluster client,
//     which repeats up to three times what it may repeat.
//   - A call that is on the wire when its context is cancelled ends by ReadTimeout; a
//     deadline on the context, however, ends it on time.
//   - A server that stops answering is noticed after ReadTimeout at the soonest, so
//     each caller of that moment waits that long once.
//   - A ping that is answered does not prove that a master accepts writes.
//
// # Rotating a password
//
// First make Redis accept both (ACL SETUSER app >new), then change the secret, in
// place if it is mounted as a file, and last take the old one away (ACL SETUSER app
// <old). Connections that are open stay so.
//
// # What the user needs
//
// +@connection -@dangerous beside the commands of its job; +info for [Check] to tell
// more than the role and the version; +cluster|slots and +command on a Cluster, where
// go-redis would otherwise ask three nodes for COMMAND before every command.
//
// # Logs
//
// This package does not log: Config.OnError is told what no caller is. go-redis logs
// to standard error; redis.SetLogger points it elsewhere, as an example shows.
package rediskit
