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
// A value in Redis is plain JSON under the key of the pattern, always with a TTL.
// Programs in other languages may read and write it.
//
// Concurrent misses of one id run one load in each process and, by a lease in Redis, one
// in the whole fleet. The other callers wait for its value, each no longer than its own
// context, and each gets a value of its own. If a process ends while it loads, another
// one takes over when the lease expires, one second after Config.LoadTimeout at the
// latest. If the server's clock is set back meanwhile, that lease, or a remembered
// absence, lasts for at most its own TTL from then on.
//
// A load never overwrites what is newer than it. If a value was deleted through this
// package, or written by any program, while it was being loaded, the loaded one is not
// stored. Once Delete has returned, no caller anywhere is answered by a load that began
// before it.
//
// GetOrLoad does not fail because of Redis. If Redis is down, slow or full, the loader
// answers, still with one load at a time per process, and Config.OnError receives the
// failure. Such a call costs what the client's time-outs cost; a client from
// rediskit.Connect refuses in microseconds once it knows that Redis is down.
//
// A value that does not decode, after a change of its type or a write by another
// program, is a miss. The next load replaces it, but only if no other program has.
//
// # Values in this process
//
// With Config.Local a cache keeps values in the process too (a near cache). A hit then
// costs no round trip and, with Local.ReadOnly, decodes nothing. Programs that change
// the values need not use this package: Redis announces every key with the pattern's
// prefix that any client writes or deletes, or that is evicted, on one connection for
// each cache and primary (CLIENT TRACKING in broadcasting mode). It also announces keys
// that have the prefix and do not match the pattern, in vain, so a prefix of the cache's
// own is best.
//
// Changes by this process are seen by its readers at once: Delete and Set mean here what
// they mean without Local. Changes by other processes are seen when their announcement
// has arrived, usually well within a millisecond. Until then, a Delete elsewhere may
// have returned and a hit here is still the old value. After that no reader sees the
// value from before the change, and a value that was read before the announcement, and
// arrives after it, is not kept.
//
// Where announcements do not arrive, values do not answer. Reads go to Redis while the
// connection is down, and from 2 s after the last PING that was answered. What was kept
// before is not used afterwards. With a client of rediskit.Connect the same holds from 2 s
// after the last look that confirmed the server: a majority of the Sentinels or of a
// Cluster's primaries, or the server behind the one address. So a near copy is at most 2 s
// behind the server that counts, and at most 5 s behind one address that leads to another
// server in silence (30 s with TLS). A client that go-redis itself made has no such looks:
// after a failover that leaves the old primary reachable, copies may be as old as
// Local.MaxAge. FLUSHALL has the same effect. In every case a value
// answers for no longer than Local.MaxAge after it was read, and not after its own TTL.
// On a Cluster a value is kept only if the node that served it announces its changes.
// New refuses clients that read from replicas. If only the server can tell that a client
// does, nothing is answered from the process.
//
// The connections are made at the first read. They need these permissions beside those
// of the calls. Without them Stats says LocalRefused, nothing is kept unless
// Local.Untracked is set, and the server is asked again every minute:
//
//	+ping +subscribe +client|id +client|tracking +pttl &__redis__:invalidate
//
// # Verified hits
//
// With Config.Verify a cache checks some of its hits in the background and counts, in Stats,
// what it finds. So the consistency of a cache in production is a number:
//
//	1 - LocalStale / (LocalSame + LocalStale)
//
// A hit in the process is compared with Redis, byte by byte, up to a second later. If they
// differ, the check waits until a PING that was sent after that is answered on the connection
// that announces changes. If the value has been announced as changed by then, or was written
// here, the hit counts as changed: it was right when it was read, or cannot be judged. If
// not, it is stale: the value is dropped, and Config.OnError receives a *StaleError with its
// age. So a write just before the check is never taken for a fault. A hit is unknown if Redis
// did not answer, if the connection ended meanwhile or there is none (Local.Untracked), and
// if the value's own time was over. While the breaker is open nothing is sent.
//
// With Verify.Source hits of GetOrLoad and GetOrLoadMany in Redis are compared with what the
// caller's loader returns. A value that differs is stale if no Delete and no write has come
// Verify.Source after the loader returned. It is then deleted in Redis. This finds changes of
// the source that somebody forgot to delete.
//
// A number of nines needs ten times its inverse: so many checks, none of them stale. The
// checks of all processes add up. With 10,000 hits a second that is
//
//	            checks     one hit of 10,000  one hit of 100  1,024 a second, the most
//	99.9 %      10,000     3 hours            2 minutes       10 seconds
//	99.99 %     100,000    28 hours           17 minutes      98 seconds
//	99.999 %    1,000,000  12 days            3 hours         16 minutes
//	99.9999 %   10,000,000 116 days           28 hours        3 hours
//
// A check costs a GET in a pipeline of up to 64, and against the source a PTTL, a GET and a
// run of the loader. Not seen is a value that changes without an announcement and is what it
// was again when the check reads it. SWAPDB, and a failover under a client that go-redis
// itself made, leave stale hits (see below): they are counted.
//
// # What it does not guarantee
//
// Strings in a value share the memory of the JSON that they came in, as those that
// strings.Split returns do. Use strings.Clone for what is kept much longer than the
// value. A Codec decides that for itself.
//
// SWAPDB changes keys without announcing them: a near copy may be of the other database
// until Local.MaxAge.
//
// A load that asks the cache for its own id waits for itself, until its context ends.
//
// While Redis answers reads and no script, as when its memory is full, a load may be older
// than a caller that joined it late. That caller joins the next one. If it was too late for
// eight in a row, it loads by itself, beside the next.
//
// A read is as fresh as the last Delete. A change of the source without a Delete shows
// after the TTL. Between the change of the source and its Delete, readers see the old
// value. If Delete returns an error, they may see it until the TTL; delete again.
//
// "Once per fleet" depends on time. If a process stands still for longer than its lease,
// another one loads as well. The fill of the first is then refused.
//
// Values end by the server's clock. If it is set back, they last longer by the step: a
// change of the source without a Delete shows that much later. If it steps forward, they
// end early. Either way the lease of a load that is under way may end: then one more load
// runs for that id, and what the first brings is not stored.
//
// While Redis does not answer a caller's own read, that caller does not learn of a Delete
// elsewhere: it may join a load that began before it. Nothing of that is stored.
//
// A client that go-redis itself made has ContextTimeoutEnabled off by default. A command
// on the wire then ends by the client's time-outs and not with its context, so calls here
// may outlast their contexts, Delete and Close among them. Set ContextTimeoutEnabled, as
// rediskit.Connect does.
//
// A DEL by another program, of a key that is being loaded, cannot be seen: the key was
// not there. So a service in another language that invalidates must delete two keys, the
// value and the lease beside it:
//
//	redis.del('conversations:user_1:list', 'rediskit:lease:{conversations:user_1:list}')
//
// With Config.StaleFor there is a third: rediskit:stale:{conversations:user_1:list}. If a
// key has '{' or '}' in it, the part in braces is instead the smallest whole number whose
// decimal text lies in the key's cluster slot, and the key follows:
// rediskit:lease:{5300}:conversations:{x}:list.
//
// A failover may lose a Delete that the old primary had not passed on yet.
//
// On a Cluster whose client reads from replicas, a hit may be as old as the replica's
// lag.
package cache
