package session_test

import (
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/session"
)

func TestReadsOfManyCallersShareRoundTripsUnlessNoPipeliningIsSet(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		// Four by themselves and one pipeline or two; or everybody.
		for alone, want := range map[bool]int{false: 5, true: 64} {
			most := s.Crowd(t, want, func(rdb *redis.Client) func() {
				store := newStoreOn[talk](t, s, rdb, func(cfg *session.Config) { cfg.NoPipelining = alone })
				return func() {
					if _, err := store.Get(t.Context(), "1"); !errors.Is(err, session.ErrNotFound) {
						t.Error(err)
					}
				}
			})
			if most > max(want, 6) {
				t.Errorf("NoPipelining %v: %d round trips at once", alone, most)
			}
		}
	})
}
