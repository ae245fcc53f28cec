// Package lock takes locks that several processes share, each under the id of
// what it protects, for as long as their holders live.
//
//	locks, err := lock.New(rdb, lock.Config{Key: "lock:*", TTL: 10 * time.Second})
//	err = locks.Do(ctx, "conversation:"+conversationID, func(ctx context.Context, held *lock.Lock) error {
//		return process(ctx, conversationID) // stops when ctx ends
//	})
//
// # What it guarantees
//
// A lock is one key with a TTL, always, and a random token in it. SET key
// locked EX 10 NX, and DEL, as services in other languages write, exclude a
// holder here and are excluded by one. Nothing here deletes or extends a key
// that holds another's token.
//
// A holder renews its lock every third of its TTL, through failures and
// outages that are shorter than the rest of it. When nine tenths of the TTL
// have passed since the last successful request was sent, its context ends
// with the cause [ErrLost], before the key can expire: by the larger of what
// the wall clock and the monotonic one saw, and also while a renewal waits for
// an answer that does not come. A lock that is gone, because Redis restarted,
// evicted it or was told to delete it, is noticed at the next renewal, a third
// of the TTL later and one time-out at most; it is never set again. A Release,
// and Do, say so.
//
// A lock ends by [Config.MaxHold] at the latest. If its holder dies, it ends
// by its TTL.
//
// Waiters are woken by a release, whichever process they are in, and look at
// a lock every [Config.Poll] besides. The waiters of one process for one id
// take turns; between processes there is no order.
//
// [Lock.Fence] is a number that rises with every holder of a lock, 16 digits
// that survive exactly.
//
// A lock has no owner but the [Lock] that was returned: whoever holds the lock of
// an id and asks for it again, as by a Do within a Do, finds it held by another
// and waits until its context ends. Pass the Lock on instead.
//
// # What it does not guarantee
//
// Mutual exclusion is by time, and so best effort. There may be two holders
// for a while
//
//   - after a failover, if the new master had not yet got the lock.
//     [Config.Replicas] narrows this: a lock or a renewal that no replica has
//     does not count. It does not close it, as another replica may be promoted.
//   - after a restart without persistence, or of less than every write; after
//     an eviction under allkeys-lru; after a foreign DEL: until the first
//     holder's next renewal.
//   - when a process, or its machine, stands still between looking at its
//     context and writing. The context has ended when it goes on, or, if the
//     machine slept and only the wall clock knows, at the next renewal, Fence
//     or Release; but what was about to be sent is sent.
//   - when a clock runs more than a tenth faster or slower than Redis's.
//   - when fn does not stop although its context has ended.
//
// The fence is the guarantee. Where a late write would do harm, pass it along
// and let the store refuse what is lower than it has seen:
//
//	UPDATE conversation SET state = $1, fence = $2 WHERE id = $3 AND fence < $2
//
// Redis may lose the fence's counter as it may lose the lock. It then
// continues from the server's clock in microseconds, so it could fall only if
// the clock stepped back as well, as on a failover to a server whose clock is
// behind.
//
// A server whose maxmemory-policy evicts is no place for locks under memory
// pressure. rediskit.Config.NoEviction refuses one.
//
// When Redis does not answer, a request may have taken the lock without its
// sender knowing. It is sent once and given back, at once and every third of
// the TTL until one TTL has passed. What arrives still later, or after the
// process has ended, holds the lock for one TTL.
//
// A Release that Redis did not confirm is neither success nor loss; its error
// says why.
//
// With a client of go-redis's own making, whose ContextTimeoutEnabled is off
// by default, a command on the wire ends by the client's time-outs and not with
// its context; calls here then end as late. Locks are lost on time all the
// same. Set ContextTimeoutEnabled, as rediskit.Connect does.
//
// # What the user needs
//
// +@scripting, +@connection, +set +get +getrange +del +pexpire +pttl +time,
// +publish +subscribe +unsubscribe +ping, +wait with Replicas; the keys of the
// pattern and rediskit:*, and the channels &rediskit:released:*. Without the
// channels everything works, but waiters depend on Poll.
package lock
