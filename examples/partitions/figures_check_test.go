package partitions

import (
	"testing"
	"time"
)

const ms = int64(time.Millisecond)

func TestMissedFindsWhatNoGapExcuses(t *testing.T) {
	t.Parallel()
	sent := []message{{1, 10 * ms}, {2, 20 * ms}, {3, 30 * ms}, {4, 40 * ms}}
	at := func(n int, at int64) event { return event{At: at * ms, From: direct, N: n} }
	gap := func(at int64) event { return event{At: at * ms} }
	for _, c := range []struct {
		what   string
		events []event
		want   int
	}{
		{"all arrived", []event{at(1, 11), at(2, 21), at(3, 31), at(4, 41)}, 0},
		{"a gap excuses", []event{at(1, 11), gap(35), at(4, 41)}, 0},
		{"nothing excuses", []event{at(1, 11), at(4, 41)}, 2},
		{"a gap that was read before", []event{at(1, 11), gap(25), at(4, 41)}, 1},
		{"a gap in another place", []event{at(1, 11), gap(15), at(2, 21), at(4, 41)}, 1},
		{"messages of others", []event{at(1, 11), {At: 35 * ms, From: other, N: 7}, at(4, 41)}, 2},
		{"still under way", []event{at(1, 11), at(2, 21)}, 0},
		{"long over", []event{at(1, 11), at(2, 21), {At: 900 * ms, From: other, N: 7}}, 2},
		{"the first ones", []event{at(3, 31), at(4, 41)}, 2},
	} {
		if got := missed(sent, c.events, direct); got != c.want {
			t.Errorf("%s: %d missed, want %d", c.what, got, c.want)
		}
	}
}

func TestCallsRecoverOnlyIfTheyStayWell(t *testing.T) {
	t.Parallel()
	good := func(n int, end int64) call { return call{N: n, Start: (end - 1) * ms, End: end * ms, OK: true} }
	for _, c := range []struct {
		what  string
		calls []call
		lost  map[[2]int]bool
		want  time.Duration
	}{
		{"at once", []call{good(1, 90), good(2, 105)}, nil, 5 * time.Millisecond},
		{"after a failure", []call{good(1, 105), {N: 2, Start: 106 * ms, End: 107 * ms}, good(3, 150)}, nil, 50 * time.Millisecond},
		{"after a lost write", []call{good(1, 105), good(2, 150)}, map[[2]int]bool{{0, 1}: true}, 50 * time.Millisecond},
		{"a slow call hangs meanwhile", []call{good(1, 105), {N: 2, Start: 106 * ms, End: 706 * ms, OK: true}}, nil, 606 * time.Millisecond},
		{"a failure much later", []call{good(1, 105), {N: 2, Start: 2000 * ms, End: 2001 * ms}}, nil, 5 * time.Millisecond},
		{"never", []call{good(1, 90), {N: 2, Start: 106 * ms, End: 107 * ms}}, nil, never},
	} {
		if got := recovery(c.calls, c.lost, 100*ms); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

func TestAgeCountsFromTheNextVersion(t *testing.T) {
	t.Parallel()
	written := map[int]int64{1: 10 * ms, 2: 20 * ms, 3: 300 * ms}
	for _, c := range []struct {
		reads map[int]int64
		from  int64
		want  time.Duration
	}{
		{map[int]int64{1: 19 * ms, 2: 290 * ms, 3: 900 * ms}, 0, 0},
		{map[int]int64{1: 120 * ms}, 0, 100 * time.Millisecond},
		{map[int]int64{1: 120 * ms}, 50 * ms, 70 * time.Millisecond},
		{map[int]int64{1: 120 * ms, 2: 1300 * ms}, 50 * ms, time.Second},
	} {
		if got := age(written, c.reads, c.from); got != c.want {
			t.Errorf("%v from %d: %v, want %v", c.reads, c.from, got, c.want)
		}
	}
}

func TestSlowCallsDialsAndHolders(t *testing.T) {
	t.Parallel()
	all, most := slow([]call{
		{Caller: 1, Start: 0, End: 300 * ms}, // before the fault
		{Caller: 1, Start: 300 * ms, End: 600 * ms},
		{Caller: 1, Start: 700 * ms, End: 1000 * ms},
		{Caller: 2, Start: 300 * ms, End: 600 * ms},
		{Caller: 2, Start: 300 * ms, End: 549 * ms},
	}, 400*ms)
	if all != 3 || most != 2 {
		t.Errorf("%d slow calls, %d of one caller, want 3 and 2", all, most)
	}
	r := &run{sick: map[string]bool{"a": true}, began: 0, sickUntil: 5000 * ms}
	dials := []dial{{0, "a"}, {500 * ms, "a"}, {900 * ms, "b"}, {1100 * ms, "a"}, {1200 * ms, "a"}, {5001 * ms, "a"}}
	if n := r.dials(dials); n != 3 {
		t.Errorf("%d dials in a second, want 3", n)
	}
	if n := overlap([]span{{0, 10}, {20, 30}}, []span{{5, 22}}); n != 7 {
		t.Errorf("two holders for %d ns, want 7", n)
	}
	if d := heard([]event{{At: 5, From: direct, N: 3}, {At: 9, From: direct, N: 4}}, 4, 2); d != 7 {
		t.Errorf("heard after %v, want 7ns", d)
	}
}
