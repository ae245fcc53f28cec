package session

import (
	"context"
	"iter"
	"sync"

	"github.com/redis/go-redis/v9"
)

// scanCount is how many keys one SCAN step looks at: at this size a step
// takes Redis well under a millisecond.
const scanCount = 1000

// An Entry is a session with its id.
type Entry[S any] struct {
	ID      string
	Session S
}

// All walks through the sessions, in no order. An error with an Entry that has
// an ID is that session's alone (ErrCorrupt, ErrWrongType) and the walk goes
// on; one without is the end of the walk.
//
// A session that lives from the beginning of the walk to its end is yielded
// once, unless its slot moves to another master meanwhile, which may hide it.
// One that begins or ends meanwhile may be yielded.
//
// It is for operators: it walks the whole keyspace of every master with SCAN,
// one pipeline of HGETALL to a step, and remembers the ids that it has seen.
func (s *Store[S]) All(ctx context.Context) iter.Seq2[Entry[S], error] {
	return func(yield func(Entry[S], error) bool) {
		err := s.scan(ctx, func(ids []string) (bool, error) {
			pipe := s.rdb.Pipeline()
			reads := make([]*redis.MapStringStringCmd, len(ids))
			for i, id := range ids {
				reads[i] = pipe.HGetAll(ctx, s.pattern.Key(id))
			}
			_, _ = pipe.Exec(ctx) // each command has its own error
			for i, read := range reads {
				switch err := read.Err(); {
				case err != nil && !isWrongType(err):
					return false, err
				case err != nil:
					if !yield(Entry[S]{ID: ids[i]}, s.failed(ctx, "all", err)) {
						return false, nil
					}
				case len(read.Val()) == 0 || s.ended(read.Val()): // it ended meanwhile
				default:
					v, err := s.open("all", read.Val())
					if !yield(Entry[S]{ids[i], v}, err) {
						return false, nil
					}
				}
			}
			return true, nil
		})
		if err != nil {
			yield(Entry[S]{}, s.failed(ctx, "all", err))
		}
	}
}

// Count returns how many sessions there are, as far as All would find them: it
// counts keys, those of another type and corrupt ones included.
//
// It is for operators: it walks the whole keyspace of every master with SCAN,
// and remembers the ids that it has seen.
func (s *Store[S]) Count(ctx context.Context) (int, error) {
	n := 0
	err := s.scan(ctx, func(ids []string) (bool, error) {
		n += len(ids)
		return true, nil
	})
	if err != nil {
		return 0, s.failed(ctx, "count", err)
	}
	return n, nil
}

// scan calls visit with ids that it has not been called with before, until
// there are no more, or visit returns false or an error.
func (e *engine) scan(ctx context.Context, visit func(ids []string) (bool, error)) error {
	masters, err := e.masters(ctx)
	if err != nil {
		return err
	}
	seen := map[string]bool{} // SCAN may return a key twice while the keyspace grows or shrinks
	for _, master := range masters {
		for cursor := uint64(0); ; {
			if err := ctx.Err(); err != nil {
				return err
			}
			found, next, err := master.Scan(ctx, cursor, e.pattern.Glob(), scanCount).Result()
			if err != nil {
				return err
			}
			ids := found[:0]
			for _, key := range found {
				if id, ok := e.pattern.ID(key); ok && !seen[id] {
					seen[id] = true
					ids = append(ids, id)
				}
			}
			if len(ids) > 0 {
				if more, err := visit(ids); err != nil || !more {
					return err
				}
			}
			if cursor = next; cursor == 0 {
				break
			}
		}
	}
	return nil
}

func (e *engine) masters(ctx context.Context) ([]redis.Cmdable, error) {
	cluster, ok := e.rdb.(*redis.ClusterClient)
	if !ok {
		return []redis.Cmdable{e.rdb}, nil
	}
	var mu sync.Mutex
	var masters []redis.Cmdable
	err := cluster.ForEachMaster(ctx, func(_ context.Context, master *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		masters = append(masters, master)
		return nil
	})
	return masters, err
}
