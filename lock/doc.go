// Package lock takes locks that several processes share, each under the id of
// what it protects, for as long as their holders live.
//
//	locks, err := lock.New(rdb, lock.Config{Key: "lock:*", TTL: 10 * time.Second})
//	err = locks.Do(ctx, "conversation:"+conversationID, func(ctx context.Context, held *lock.Lock) error {
//		return process(ctx, conversationID)
//	})
package lock
