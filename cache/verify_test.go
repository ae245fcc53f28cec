package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
)

// verified checks every hit.
func verified(cfg *cache.Config) { cfg.Verify.OneIn = 1 }

// keeps has c hold id's value, as text, in this process, after its announcement.
func keeps(t *testing.T, s *redistest.Server, c *cache.Cache[string], id, text string) {
	t.Helper()
	if err := s.Client().Set(t.Context(), keyOf(s, id), `"`+text+`"`, time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	stays(t, c, id)
}

// stays waits until the value of id is kept, and not dropped for some milliseconds.
func stays(t *testing.T, c *cache.Cache[string], id string) {
	t.Helper()
	hits := 0
	redistest.Eventually(t, func() bool {
		if hits++; !near(t, c, id) {
			hits = 0
		}
		return hits == 5
	}, "it is kept")
}

// judged reads id until its hits have what must be true of Stats.
func judged(t *testing.T, c *cache.Cache[string], id string, is func(cache.Stats) bool, what string) {
	t.Helper()
	redistest.Eventually(t, func() bool {
		near(t, c, id)
		return is(c.Stats())
	}, what)
}

func TestVerifyThatCannotWorkIsAnErrorOfNew(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClient(&redis.Options{})
	t.Cleanup(func() { rdb.Close() })
	for name, tc := range map[string]struct {
		verify cache.Verify
		local  cache.Local
		want   string
	}{
		"less than none":    {cache.Verify{OneIn: -1}, cache.Local{MaxEntries: 1}, "Verify.OneIn is -1"},
		"nothing to check":  {cache.Verify{OneIn: 10}, cache.Local{}, "nothing to check"},
		"no hits":           {cache.Verify{Source: time.Second}, cache.Local{MaxEntries: 1}, "Verify.OneIn is 0"},
		"no time":           {cache.Verify{OneIn: 1, Source: time.Microsecond}, cache.Local{}, "Verify.Source is 1µs"},
		"hits in Redis":     {cache.Verify{OneIn: 1, Source: time.Second}, cache.Local{}, ""},
		"hits in a process": {cache.Verify{OneIn: 1}, cache.Local{MaxEntries: 1}, ""},
	} {
		_, err := cache.New[string](rdb, cache.Config{Key: "k:*", TTL: time.Minute, Local: tc.local, Verify: tc.verify})
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

func TestAHitOfTheValueInRedisIsTheSame(t *testing.T) {
	t.Parallel()
	for _, readOnly := range []bool{false, true} {
		s := redistest.Real(t)
		c := newLocal[string](t, s, verified, func(cfg *cache.Config) { cfg.Local.ReadOnly = readOnly })
		keeps(t, s, c, "1", "v")
		judged(t, c, "1", func(got cache.Stats) bool { return got.LocalSame > 0 }, "a hit is the same")
		if got := c.Stats(); got.LocalStale != 0 {
			t.Errorf("with ReadOnly %v: %+v", readOnly, got)
		}
	}
}

func TestAHitWhoseChangeIsAnnouncedIsNotStale(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	c := newLocal[string](t, s, verified)
	for name, change := range map[string]func() error{
		"another program": func() error { return s.Client().Set(t.Context(), keyOf(s, "1"), `"w"`, time.Minute).Err() },
		"Set":             func() error { return c.Set(t.Context(), "1", "w") },
		"Delete":          func() error { return c.Delete(t.Context(), "1") },
	} {
		keeps(t, s, c, "1", "v")
		before := c.Stats().LocalChanged
		judged(t, c, "1", func(got cache.Stats) bool {
			if err := change(); err != nil {
				t.Fatal(err)
			}
			return got.LocalChanged > before
		}, name)
	}
	if got := c.Stats(); got.LocalStale != 0 {
		t.Errorf("%+v", got)
	}
}

func TestAHitWhoseChangeIsNotAnnouncedIsStale(t *testing.T) {
	t.Parallel()
	for _, readOnly := range []bool{false, true} {
		t.Run(fmt.Sprint("read only ", readOnly), func(t *testing.T) {
			t.Parallel()
			s, reported := redistest.Real(t), &redistest.Recorder{}
			c := newCacheOn[string](t, s, s.Client(), localOn, verified, onError(reported),
				func(cfg *cache.Config) { cfg.Local.ReadOnly = readOnly })
			if err := c.LoseAnnouncements(1); err != nil { // all
				t.Fatal(err)
			}
			inUse(t, c)
			keeps(t, s, c, "id", "secret-old")
			if err := s.Client().Set(t.Context(), keyOf(s, "id"), `"secret-new"`, time.Minute).Err(); err != nil {
				t.Fatal(err)
			}
			for range 10 { // the hits of one value
				if !near(t, c, "id") {
					t.Fatal("the value was dropped already")
				}
			}
			var stale *cache.StaleError
			found := func() (n int) {
				for _, err := range reported.All() {
					if errors.As(err, &stale) {
						n++
					}
				}
				return n
			}
			redistest.Eventually(t, func() bool { return found() > 0 }, "it is found")
			if got := c.Stats(); found() != 1 || got.LocalStale < 10 || stale.Source || stale.Age <= 0 || stale.Age > time.Minute {
				t.Errorf("reported %d times, %+v; want once; %+v", found(), stale, got)
			}
			for _, err := range reported.All() {
				if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), keyOf(s, "id")) {
					t.Errorf("reported %v", err)
				}
			}
			if v, err := c.Get(t.Context(), "id"); v != "secret-new" || err != nil {
				t.Errorf("got %q, %v", v, err)
			}
		})
	}
}

// The check comes long before the announcement.
func TestAHitWhoseChangeIsAnnouncedLateIsNotStale(t *testing.T) {
	t.Parallel()
	s, late := redistest.Real(t), make(chan struct{})
	rdb := s.Client()
	looks := redistest.Trips(rdb)
	c := newCacheOn[string](t, s, rdb, localOn, verified)
	c.VerifyUpTo(1000, time.Millisecond)
	var held atomic.Bool
	if err := c.Announcements(func(pass func()) {
		if held.Load() {
			<-late
		}
		pass()
	}); err != nil {
		t.Fatal(err)
	}
	inUse(t, c)
	keeps(t, s, c, "1", "v")
	before := c.Stats()
	held.Store(true)
	if err := s.Client().Set(t.Context(), keyOf(s, "1"), `"w"`, time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	looks.Take()
	for n := 0; n < 100 && near(t, c, "1"); n++ { // one look after the other, until the PINGs are overdue
		redistest.Eventually(t, func() bool { return looks.Take() > 0 }, "Redis contradicts the hit")
	}
	close(late)
	redistest.Eventually(t, func() bool {
		got := c.Stats()
		return got.LocalChanged+got.LocalUnknown > before.LocalChanged+before.LocalUnknown
	}, "the hits are judged")
	if got := c.Stats(); got.LocalStale != 0 {
		t.Errorf("%+v", got)
	}
}

// While the server is paused for writes, it does not delete what has expired, and announces
// nothing.
func TestAValueThatHasEndedInSilenceIsNotStale(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb, ctx := server.Client(), t.Context()
	c := aged(t, rdb, verified)
	redistest.Eventually(t, func() bool {
		rdb.SetNX(ctx, "k:1", `"v"`, 500*time.Millisecond)
		before := near(t, c, "1")
		return near(t, c, "1") && before
	}, "it is kept")
	if err := rdb.Do(ctx, "CLIENT", "PAUSE", 6000, "WRITE").Err(); err != nil {
		t.Fatal(err)
	}
	redistest.Eventually(t, func() bool {
		got := c.Stats()
		return got.LocalUnknown+got.LocalChanged > 0 // changed if the first announcement came late
	}, "the hit is judged")
	if got := c.Stats(); got.LocalStale != 0 {
		t.Errorf("%+v", got)
	}
}

func TestAValueWhoseTimeIsOverIsNotStale(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	c := newLocal[string](t, s, verified)
	rdb := s.Client()
	redistest.Eventually(t, func() bool {
		rdb.SetNX(t.Context(), keyOf(s, "1"), `"v"`, 300*time.Millisecond)
		return near(t, c, "1")
	}, "it is kept")
	redistest.Eventually(t, func() bool {
		got := c.Stats()
		return got.LocalUnknown+got.LocalChanged > 0
	}, "the hit is checked")
	if got := c.Stats(); got.LocalStale != 0 {
		t.Errorf("%+v", got)
	}
}

// Without announcements a value may be MaxAge old, and that is no fault.
func TestAnUntrackedHitIsUnknown(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t) // it does not track
	c := newLocal[string](t, s, verified)
	keeps(t, s, c, "1", "v")
	redistest.Eventually(t, func() bool { return c.Stats().LocalUnknown > 0 }, "the hit is checked")
	if got := c.Stats(); got.LocalStale+got.LocalSame != 0 {
		t.Errorf("%+v", got)
	}
}

func TestACheckThatRedisDoesNotAnswerIsUnknownAndNotRepeated(t *testing.T) {
	t.Parallel()
	s, reported := redistest.Real(t), &redistest.Recorder{}
	var down atomic.Bool
	var refused atomic.Int64
	rdb := s.Hooked(func(next func() error, names ...string) error {
		if down.Load() && names[0] == "get" {
			refused.Add(int64(len(names)))
			return rediskit.ErrUnavailable
		}
		return next()
	})
	c := newLocalOn[string](t, s, rdb, verified, onError(reported))
	keeps(t, s, c, "1", "v")
	down.Store(true)
	before := c.Stats().LocalUnknown
	for range 2 { // a check that was repeated would come with the second one, too
		asked := refused.Load()
		judged(t, c, "1", func(got cache.Stats) bool {
			return refused.Load() > asked && got.LocalUnknown-before >= uint64(refused.Load())
		}, "each hit that was checked is unknown")
	}
	if got := c.Stats(); got.LocalStale != 0 || len(reported.All()) != 0 {
		t.Errorf("%+v; reported %v", got, reported.All())
	}
}

func TestNoMoreThan1024ChecksWait(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	c := newCacheOn[string](t, s, s.Client(), localOn, verified)
	c.VerifyUpTo(cache.MaxChecks, time.Hour) // so that they wait
	inUse(t, c)
	keeps(t, s, c, "1", "v")
	for range 3000 {
		near(t, c, "1")
	}
	if got := c.Stats(); got.LocalUnchecked != got.LocalHits-1024 {
		t.Errorf("%d of %d hits found no room", got.LocalUnchecked, got.LocalHits)
	}
}

func TestOneHitInSoManyIsChosen(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	c := newCacheOn[string](t, s, s.Client(), localOn, func(cfg *cache.Config) { cfg.Verify.OneIn = 10 })
	c.VerifyUpTo(0, time.Hour) // each hit that is chosen finds no room
	inUse(t, c)
	keeps(t, s, c, "1", "v")
	for range 5000 {
		near(t, c, "1")
	}
	if got := c.Stats(); got.LocalUnchecked < 450 || got.LocalUnchecked > 550 {
		t.Errorf("%d of %d hits were chosen; want about 500", got.LocalUnchecked, got.LocalHits)
	}
}

func TestCloseEndsTheChecks(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	c := newLocal[string](t, s, verified)
	keeps(t, s, c, "1", "v")
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Get(t.Context(), "1"); !errors.Is(err, cache.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestChecksGoOnAfterOnErrorPanicked(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	var stale atomic.Int64
	c := newCacheOn[string](t, s, s.Client(), localOn, verified, func(cfg *cache.Config) {
		cfg.OnError = func(_ context.Context, err error) {
			if _, ok := errors.AsType[*cache.StaleError](err); ok {
				stale.Add(1)
				panic("canary")
			}
		}
	})
	if err := c.LoseAnnouncements(1); err != nil {
		t.Fatal(err)
	}
	inUse(t, c)
	for n := range int64(2) {
		id := fmt.Sprint(n)
		keeps(t, s, c, id, "old")
		if err := s.Client().Set(t.Context(), keyOf(s, id), `"new"`, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		near(t, c, id)
		redistest.Eventually(t, func() bool { return stale.Load() > n }, "it is found")
	}
}
