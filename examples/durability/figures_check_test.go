package durability

import (
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
)

// Each number is looked for by itself: those before and after one that is lost count as
// there.
func TestOneLostChangeIsFound(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		at := func(s int) time.Time { return time.Unix(int64(s), 0) }
		r := &run{t: t, tag: s.Prefix(), began: at(3)}
		visits, err := newVisits(s.Client(), r.tag, none)
		if err != nil {
			t.Fatal(err)
		}
		for id, changes := range map[string]string{"a": "1 2 4", "b": "7"} {
			if err := visits.Put(t.Context(), id, visit{changes}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Client().Set(t.Context(), prefix("limit", r.tag)+limited, 4, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		r.near = &client{acked: []change{{"a", 1, at(1)}, {"a", 2, at(2)}, {"a", 3, at(3)}, {"a", 4, at(4)}}}
		r.far = &client{acked: []change{{"b", 7, at(1)}, {"gone", 8, at(5)}}, refused: 5, admitted: 6}
		want := figures{acked: 6, lost: 2, within: 2 * time.Second, refused: 5, admitted: 6, charges: 2}
		if got := r.figures(s.Client()); got != want {
			t.Errorf("%v, want %v", got, want)
		}
		r.near.acked, want = r.near.acked[2:3], figures{acked: 3, lost: 2, all: true, within: 2 * time.Second, refused: 5, admitted: 6, charges: 2}
		r.began = at(1)
		if got := r.figures(s.Client()); got != want {
			t.Errorf("of those before the fault none is there: %v, want %v", got, want)
		}
	})
}

func TestHoldersOverlap(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	a := []span{{at(0), at(10)}, {at(20), at(30)}}
	for _, c := range []struct {
		b    span
		want time.Duration
	}{
		{span{at(5), at(22)}, 7 * time.Second},
		{span{at(10), at(20)}, 0},
		{span{at(1), at(2)}, time.Second},
	} {
		if got := overlap(a, []span{c.b}); got != c.want {
			t.Errorf("%v: %v, want %v", c.b, got, c.want)
		}
	}
}

func TestTheWorstRunIsShown(t *testing.T) {
	t.Parallel()
	got := worst([]figures{
		{acked: 100, lost: 10, admitted: 5, together: time.Second},
		{acked: 10, lost: 20, refused: 3},
		{acked: 1000, lost: 5, admitted: 9},
	})
	if want := (figures{acked: 10, lost: 20, refused: 3, admitted: 9, together: time.Second}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
}
