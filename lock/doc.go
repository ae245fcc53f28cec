// Package lock takes locks that several processes share, each under the id of
// what it protects, for as long as their holders renew them.
//
//	locks, err := lock.New(rdb, lock.Config{Key: "lock:*", TTL: 10 * time.Second})
//	err = locks.Do(ctx, "conversation:"+conversationID, func(ctx context.Context, held *lock.Lock) error {
//		return process(ctx, conversationID) // stops when ctx ends
//	})
//
// # What it guarantees
//
// A lock is one key with a TTL, always. Its value is a random token of 26 letters and digits,
// then ":px=" and the TTL in milliseconds. Services in other languages that write SET key
// locked EX 10 NX, and DEL, exclude a holder here and are excluded by one. They need not know
// the value. Nothing here deletes or extends a key that holds another value.
//
// A holder renews its lock every third of its TTL, or a little earlier, so that the renewals
// of a process that holds many locks share round trips. Failures and outages that are shorter
// than the rest of the TTL do no harm. When nine tenths of the TTL have passed since the
// last successful request was sent, the lock's context ends with the cause [ErrLost], before
// the key can expire. The time is the larger of what the wall clock and the monotonic clock
// say, and the context also ends while a renewal waits for a reply that does not come. If a
// lock is gone, because Redis restarted, evicted it or deleted it on command, the next
// renewal notices, a third of the TTL later and one time-out at most; the lock is never set
// again. Release and Do say so, too.
//
// A lock ends by [Config.MaxHold] at the latest. If its holder's process ends, the lock ends
// by its TTL. If the server's clock was set back meanwhile, the lock would last longer by the
// step. The first caller that finds it so, by the TTL in its value, shortens it to a TTL from
// then on. That takes nothing from a holder that goes on renewing: however often the clock is
// set back, its lock stays its own.
//
// A release wakes waiters in every process. They look at a lock every [Config.Poll] besides.
// The waiters of one process for one id take turns; between processes there is no order.
//
// While five or more calls of a Locker are under way, requests for locks share round trips
// with each other, and so do renewals and releases, which do not wait behind requests. Hooks
// of the client then see pipelines, with a context of their own. A request whose context
// ends before it was sent took nothing. With [Config.Replicas], requests and renewals do not
// share.
//
// [Lock.Fence] is a number that rises with every holder of a lock. It has 16 digits, which
// survive exactly in languages whose numbers are 64-bit floats.
//
// A lock belongs to the [Lock] that was returned, and to nothing else. A caller that holds
// the lock of an id and asks for it again, as by a Do within a Do, finds it held by another
// and waits until its context ends. Pass the Lock on instead.
//
// # What it does not guarantee
//
// Mutual exclusion depends on time, and so is best effort. There may be two holders for a
// while
//
//   - after a failover, if the new primary had not got the lock yet. [Config.Replicas] makes
//     this less likely: a lock or a renewal that no replica has does not count. It does not
//     exclude it, as another replica may be promoted.
//   - after a restart that lost writes; after an eviction under allkeys-lru; after a DEL by
//     another program: until the first holder's next renewal.
//   - when a process, or its machine, is suspended between a look at its context and a write.
//     The context has ended when it goes on. If the machine was suspended and only the wall
//     clock shows it, the context ends at the next renewal, Fence or Release. But what was
//     about to be sent is sent.
//   - when a clock runs more than a tenth faster or slower than Redis's.
//   - when Redis's clock steps forward by more than the rest of a lock's TTL: until the first
//     holder's next renewal.
//   - when fn does not stop although its context has ended.
//
// The fence is the guarantee. Where a late write would do harm, pass the fence along and let
// the store refuse a lower one than it has seen:
//
//	UPDATE conversation SET state = $1, fence = $2 WHERE id = $3 AND fence < $2
//
// Redis may lose the fence's counter as it may lose the lock. The next fence is then the
// server's clock in microseconds. So it could be lower only if the clock stepped back as
// well, as on a failover to a server whose clock is behind. One step of the clock alone makes
// no fence lower. A step forward by more than a day and MaxHold ends the counter; it does harm
// only if the clock had been set back before.
//
// A lock that another program took, by SET key locked EX 10 NX, says nothing of its TTL. If
// that program ends and the clock is set back, the lock lasts longer by the step. A DEL ends
// it.
//
// A server whose maxmemory-policy evicts is no place for locks under memory pressure.
// rediskit.Config.NoEviction refuses one.
//
// When Redis does not answer, a request may have taken the lock without its sender knowing.
// It is sent once and given back: at once, and again every third of the TTL until one TTL
// has passed. If the request arrives still later, or after the process has ended, it holds
// the lock for one TTL.
//
// On a Cluster the announcements of a release reach waiters through any of its nodes. While
// the nodes do not reach each other, waiters depend on Poll.
//
// A Release that Redis did not confirm is neither success nor loss; its error says why.
//
// A client of rediskit.Connect renews all locks at once when it learns that another server
// counts, and waiters look. A client that go-redis itself made does not learn that: a holder
// may trust its lock at the old primary for as long as that one answers.
//
// A client that go-redis itself made has ContextTimeoutEnabled off by default. A command on
// the wire then ends by the client's time-outs and not with its context, so calls here may
// outlast their contexts. Locks are lost on time all the same. Set ContextTimeoutEnabled, as
// rediskit.Connect does.
//
// # What the user needs
//
// +@scripting, +@connection, +set +get +del +pexpire +pttl +time, +publish
// +subscribe +unsubscribe +ping, +wait with Replicas; the keys of the pattern and
// rediskit:*, and the channels &rediskit:released:*. Without the channels everything works,
// but waiters depend on Poll.
package lock
