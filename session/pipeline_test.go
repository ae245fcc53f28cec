package session_test

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/session"
)

func TestCallsOfManyCallersShareRoundTripsUnlessNoPipeliningIsSet(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		known := newStore[talk](t, s)
		for _, name := range []string{"Get", "Create", "Put", "Touch", "Transition", "Delete"} {
			_ = calls(t, known)[name](t.Context(), "0") // the server knows its script from now on
			// Four by themselves and one pipeline or two; or everybody.
			for alone, want := range map[bool]int{false: 5, true: 64} {
				most := s.Crowd(t, want, func(rdb *redis.Client) func() {
					store := newStoreOn[talk](t, s, rdb, func(cfg *session.Config) { cfg.NoPipelining = alone })
					call := calls(t, store)[name]
					return func() {
						if err := call(t.Context(), "1"); err != nil && !errors.Is(err, session.ErrNotFound) && !errors.Is(err, session.ErrExists) && !errors.Is(err, session.ErrConflict) {
							t.Error(err)
						}
					}
				})
				if most > max(want, 6) {
					t.Errorf("%s, NoPipelining %v: %d round trips at once", name, alone, most)
				}
			}
		}
	})
}

// All changes of a pipeline are uncertain at once. Each finds its own record.
func TestEachChangeOfALostPipelineIsMadeOnce(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		store := newStoreOn[talk](t, s, s.Client(func(o *redis.Options) { o.Addr = proxy.Addr() }))
		warm(t, store)
		const callers, rounds = 32, 10
		for g := range callers {
			create(t, store, fmt.Sprint(g), aTalk())
		}
		var all sync.WaitGroup
		for g := range callers {
			id := fmt.Sprint(g)
			all.Go(func() {
				made, uncertain := 0, 0
				for range rounds {
					if g == 0 {
						proxy.DropReply("evalsha")
					}
					switch err := calls(t, store)["Update"](t.Context(), id); {
					case err == nil:
						made++
					case errors.Is(err, session.ErrUncertain): // its second copy was lost too
						uncertain++
					default:
						t.Errorf("session %d: %v", g, err)
					}
				}
				n, _ := strconv.Atoi(hash(t, s, id)["n"])
				if n < made || n > made+uncertain {
					t.Errorf("session %d was changed %d times; %d changes are known, %d uncertain", g, n, made, uncertain)
				}
			})
		}
		all.Wait()
		if store.Stats().Resent == 0 {
			t.Error("no reply was lost")
		}
	})
}
