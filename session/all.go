package session

import (
	"context"
	"iter"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/sender"
)

// An Entry is a session with its id.
type Entry[S any] struct {
	ID      string
	Session S
}

// All walks through the sessions, in no order. An error with an Entry that has an ID is
// about that session alone (ErrCorrupt, ErrWrongType), and the walk goes on. An error
// with an Entry without an ID is the end of the walk.
//
// A session that exists from the beginning of the walk to its end is yielded once. If its
// slot moves to another primary meanwhile, it may be missing. A session that begins or
// ends meanwhile may be yielded.
//
// It is for operators: it walks the whole keyspace of every primary with SCAN, one
// pipeline of HGETALL to a step, and remembers the ids that it has seen.
func (s *Store[S]) All(ctx context.Context) iter.Seq2[Entry[S], error] {
	return func(yield func(Entry[S], error) bool) {
		err := s.scan(ctx, func(ids []string) (bool, error) {
			reads := make([]redis.Cmder, len(ids))
			for i, id := range ids {
				reads[i] = redis.NewMapStringStringCmd(ctx, "hgetall", s.pattern.Key(id))
			}
			s.sender.DoMany(ctx, sender.Repeatable, reads...)
			for i, cmd := range reads {
				hash := cmd.(*redis.MapStringStringCmd).Val()
				switch err := cmd.Err(); {
				case err != nil && !isWrongType(err):
					return false, err
				case err != nil:
					if !yield(Entry[S]{ID: ids[i]}, failed(ctx, s.report, "all", err)) {
						return false, nil
					}
				case len(hash) == 0 || s.ended(hash): // it ended meanwhile
				default:
					v, err := s.open("all", hash)
					if !yield(Entry[S]{ids[i], v}, err) {
						return false, nil
					}
				}
			}
			return true, nil
		})
		if err != nil {
			yield(Entry[S]{}, failed(ctx, s.report, "all", err))
		}
	}
}

// Count returns how many sessions there are, as far as All would find them. It counts
// keys, those of another type and corrupt ones included.
//
// It is for operators: it walks the whole keyspace of every primary with SCAN, and
// remembers the ids that it has seen.
func (s *Store[S]) Count(ctx context.Context) (int, error) {
	n := 0
	err := s.scan(ctx, func(ids []string) (bool, error) {
		n += len(ids)
		return true, nil
	})
	if err != nil {
		return 0, failed(ctx, s.report, "count", err)
	}
	return n, nil
}

// scan calls visit with ids that it was not called with before, until there are no more,
// or visit returns false or an error.
func (s *Store[S]) scan(ctx context.Context, visit func(ids []string) (bool, error)) error {
	seen := map[string]bool{} // SCAN may return a key twice while the keyspace grows or shrinks
	for primary, err := range sender.Primaries(ctx, s.rdb) {
		if err != nil {
			return err
		}
		for found, err := range sender.Scan(ctx, primary, s.pattern.Glob()) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			ids := found[:0]
			for _, key := range found {
				if id, ok := s.pattern.ID(key); ok && !seen[id] {
					seen[id] = true
					ids = append(ids, id)
				}
			}
			if len(ids) > 0 {
				if more, err := visit(ids); err != nil || !more {
					return err
				}
			}
		}
	}
	return nil
}
