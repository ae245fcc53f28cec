package sender

import (
	"context"
	"iter"

	"github.com/redis/go-redis/v9"
)

// scanCount is how many keys one SCAN step looks at. Such a step takes Redis well under
// a millisecond.
const scanCount = 1000

// Scan walks over the keys of one primary that match glob, a SCAN at a time. It yields the
// keys of each step, perhaps none, and perhaps some that it has yielded before. An error is
// the last element.
func Scan(ctx context.Context, primary redis.UniversalClient, glob string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		for cursor := uint64(0); ; {
			step := redis.NewScanCmd(ctx, nil, "scan", cursor, "match", glob, "count", scanCount)
			Send(ctx, primary, Repeatable, step)
			keys, next, err := step.Result()
			if !yield(keys, err) || err != nil || next == 0 {
				return
			}
			cursor = next
		}
	}
}
