package session_test

import (
	"testing"

	"github.com/convkit/rediskit/internal/redistest"
)

// answerAfterThreeWriters is an fn of Update whose first three runs meet another writer,
// each of which adds one to n.
func answerAfterThreeWriters(t *testing.T, s *redistest.Server, id string) func(*talk) error {
	runs := 0
	return func(v *talk) error {
		if runs++; runs < 4 {
			s.Client().HIncrBy(t.Context(), keyOf(s, id), "n", 1)
		}
		v.State = answered
		return nil
	}
}

func TestRoundTrips(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		store := newStoreOn[talk](t, s, rdb)
		warm(t, store) // the server knows every script from here on
		roundTrips := redistest.Trips(rdb)
		create(t, store, "1", aTalk())
		roundTrips.Take()
		every := calls(t, store)
		for _, call := range []struct {
			name string
			want int
		}{{"Get", 1}, {"Touch", 1}, {"Update", 2}, {"Transition", 1}, {"Put", 1}, {"Delete", 1}, {"Create", 1}} {
			if err := every[call.name](t.Context(), "1"); err != nil {
				t.Errorf("%s: %v", call.name, err)
			}
			if n := roundTrips.Take(); n != call.want {
				t.Errorf("%s: %d round trips, want %d", call.name, n, call.want)
			}
		}
		_, err := store.Update(t.Context(), "1", answerAfterThreeWriters(t, s, "1"))
		if n := roundTrips.Take(); n != 5 || err != nil {
			t.Errorf("Update that meets three writers: %d round trips, %v; want 5", n, err)
		}
	})
}
