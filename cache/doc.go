// Package cache keeps values of one type in Redis, each under the id of one
// object, for a limited time.
//
//	conversations, err := cache.New[[]Conversation](rdb, cache.Config{
//		Key: "conversations:*:list",
//		TTL: 5 * time.Minute,
//	})
//	list, err := conversations.GetOrLoad(ctx, speakerID, db.Conversations)
//	...
//	err = db.AddMessage(ctx, m) // first change the source,
//	err = conversations.Delete(ctx, speakerID) // then invalidate
//
// # What it guarantees
//
// A value in Redis is plain JSON under the key of the pattern, with a TTL,
// always. Programs in other languages may read and write it.
//
// Concurrent misses of one id run one load in each process and, by a lease in
// Redis, one in the whole fleet. The others wait for its value, each no
// longer than its own context, and each gets a value of its own. A process
// that dies while it loads is replaced when its lease ends, one second after
// Config.LoadTimeout at the latest.
//
// A load never overwrites what is newer than it: a value that was deleted
// through this package, or written by anyone, while it was being loaded is
// not stored. Once Delete has returned, no caller anywhere is answered by a
// load that began before it.
//
// Redis is never a reason to fail: when it is down, slow or full, GetOrLoad
// answers from the loader, still with one load at a time per process, and
// Config.OnError is told. It costs what the client's time-outs cost; a client
// from rediskit.Connect refuses in microseconds once Redis is known to be down.
//
// A value that does not decode, after a change of its type or a foreign
// write, is a miss, and the next load replaces it, but only if nobody else
// has.
//
// # Values in this process
//
// With Config.Local a cache keeps values in the process too (a near cache): a
// hit then costs no round trip and, with Local.ReadOnly, decodes nothing. What
// changes them need not use this package: Redis announces every key of the
// pattern's prefix that is written, deleted or evicted, by whatever client, on
// one connection for each cache and master (CLIENT TRACKING in broadcasting
// mode). Keys of the prefix that are not of the pattern are announced in vain, so
// a prefix of the cache's own is best.
//
// What this process writes or deletes, its readers see at once: Delete and Set
// mean here what they mean without Local. Changes by other processes are seen
// when their announcement has arrived, usually well within a millisecond; until
// then, a Delete elsewhere has returned and a hit here is still the old value.
// After that no reader sees what was before the change, and a read that it
// overtook is not kept.
//
// Where announcements do not arrive, values do not answer: reads go to Redis
// while the connection is down, or from 2 s after the last PING that was
// answered, and what was kept before counts for nothing afterwards. FLUSHALL does
// the same. Whatever happens, no value answers for longer than Local.MaxAge
// after it was read, nor after its own TTL. On a Cluster a value is kept only if
// the node that served it announces its changes. Clients that read from replicas
// are refused by New, or where only the server can tell, are never answered
// from the process.
//
// The connections are made at the first read. They need these permissions
// beside those of the calls. Without them Stats says LocalRefused, nothing is
// kept unless Local.Untracked is set, and the server is asked again every minute:
//
//	+ping +subscribe +client|id +client|tracking +pttl &__redis__:invalidate
//
// # What it does not guarantee
//
// Strings in a value share the memory of the JSON that they came in, as those
// that strings.Split returns do: strings.Clone what is kept for much longer than
// the value. A Codec decides that for itself.
//
// A read is as fresh as the last Delete: a change of the source without one
// shows after the TTL. Between the commit of a change and its Delete, readers
// see the old value. If Delete returns an error, they may see it until the
// TTL; delete again.
//
// "Once per fleet" is a matter of time, not of proof: a process that stands
// still for longer than its lease finds another one loading. Its own fill is
// refused then.
//
// While Redis does not answer a caller's own read, nothing tells that caller of
// a Delete elsewhere: it may join a load that began before it. Nothing of that
// is stored.
//
// With a client of go-redis's own making, whose ContextTimeoutEnabled is off by
// default, a command on the wire ends by the client's time-outs and not with
// its context; calls here, Delete and Close among them, then end as late. Set
// ContextTimeoutEnabled, as rediskit.Connect does.
//
// A foreign DEL of a key that is being loaded cannot be seen: the key was not
// there. A service in another language that invalidates must therefore delete
// two keys, the value and the lease beside it:
//
//	redis.del('conversations:user_1:list', 'rediskit:lease:{conversations:user_1:list}')
//
// With Config.StaleFor there is a third: rediskit:stale:{conversations:user_1:list}.
// For a key that has '{' or '}' in it, the part in braces is instead the
// smallest whole number whose decimal text lies in the key's cluster slot, and
// the key follows: rediskit:lease:{5300}:conversations:{x}:list.
//
// A failover may lose a Delete that the old master had not yet passed on.
//
// On a Cluster whose client reads from replicas, a hit may be as old as the
// replica's lag.
package cache
