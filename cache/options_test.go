package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestAValueLivesForItsTTLAndNoLonger(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		const lifetime = 150 * time.Millisecond
		c, src := newCache[string](t, s, func(cfg *cache.Config) { cfg.TTL = lifetime }), newSource("v")
		began := time.Now()
		want(t, get(t, c, src, "loaded"), "v")
		if err := c.Set(t.Context(), "set", "v"); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"loaded", "set"} {
			ttl, err := s.Client().PTTL(t.Context(), keyOf(s, id)).Result()
			expired := ttl == -2 && time.Since(began) >= lifetime // on a busy machine
			if err != nil || ttl > lifetime || ttl < 0 && !expired {
				t.Errorf("%s has a TTL of %v, want up to %v; %v", id, ttl, lifetime, err)
			}
		}
		s.Advance(lifetime)
		for _, id := range []string{"loaded", "set"} {
			if _, err := c.Get(t.Context(), id); !errors.Is(err, cache.ErrMiss) {
				t.Errorf("%s after its TTL: %v", id, err)
			}
		}
	})
}

func TestJitterOnlyShortens(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		const ttl = 10 * time.Minute
		c := newCache[string](t, s, func(cfg *cache.Config) { cfg.TTL, cfg.Jitter = ttl, 0.5 })
		values := map[string]string{}
		for i := range 200 {
			values[fmt.Sprint(i)] = "v"
		}
		if err := c.SetMany(t.Context(), values); err != nil {
			t.Fatal(err)
		}
		shortest, longest := ttl, time.Duration(0)
		rdb := s.Client()
		for id := range values {
			left := rdb.PTTL(t.Context(), keyOf(s, id)).Val()
			shortest, longest = min(shortest, left), max(longest, left)
		}
		const slack = 10 * time.Second // between the writes and the reads
		tiny := newCache[string](t, s, func(cfg *cache.Config) { cfg.TTL, cfg.Jitter = time.Millisecond, 0.9 })
		if err := tiny.SetMany(t.Context(), values); err != nil {
			t.Errorf("the shortest TTL: %v", err)
		}
		if longest > ttl || shortest < ttl/2-slack || longest-shortest < ttl/4 {
			t.Errorf("TTLs from %v to %v; want them spread over 5 to 10 minutes", shortest, longest)
		}
	})
}

func TestAbsenceIsRememberedAndNothingElseIs(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		c := newCache[*string](t, s, func(cfg *cache.Config) { cfg.NegativeTTL = 100 * time.Millisecond })
		loads := 0
		answer := func(v *string, err error) func(context.Context, string) (*string, error) {
			return func(context.Context, string) (*string, error) { loads++; return v, err }
		}
		gone := fmt.Errorf("no such speaker: %w", cache.ErrNotFound)
		if _, err := c.GetOrLoad(t.Context(), "1", answer(nil, gone)); err != gone {
			t.Errorf("got %v, want the loader's own error", err)
		}
		if _, err := c.GetOrLoad(t.Context(), "1", answer(nil, gone)); !errors.Is(err, cache.ErrNotFound) || loads != 1 {
			t.Errorf("got %v after %d loads, want a remembered ErrNotFound", err, loads)
		}
		if _, err := c.Get(t.Context(), "1"); !errors.Is(err, cache.ErrMiss) {
			t.Errorf("Get = %v, want ErrMiss", err)
		}
		if n := s.Client().Exists(t.Context(), keyOf(s, "1")).Val(); n != 0 {
			t.Error("the absence is stored under the value's key, where other programs look")
		}
		s.Advance(100 * time.Millisecond)
		text := "now there is one"
		if v, err := c.GetOrLoad(t.Context(), "1", answer(&text, nil)); err != nil || *v != text {
			t.Errorf("after NegativeTTL: %v, %v", v, err)
		}

		// Set and Delete end the memory at once.
		for _, end := range []func() error{
			func() error { return c.Delete(t.Context(), "2") },
			func() error { return c.Set(t.Context(), "2", &text) },
		} {
			_, _ = c.GetOrLoad(t.Context(), "2", answer(nil, gone))
			if err := end(); err != nil {
				t.Fatal(err)
			}
			if v, err := c.GetOrLoad(t.Context(), "2", answer(&text, nil)); err != nil || *v != text {
				t.Errorf("got %v, %v", v, err)
			}
			_ = c.Delete(t.Context(), "2")
		}

		// A failure is not an absence; null is a value.
		before := loads
		for range 2 {
			_, _ = c.GetOrLoad(t.Context(), "3", answer(nil, errors.New("the database is down")))
		}
		if loads != before+2 {
			t.Error("a failed load was remembered")
		}
		for range 2 {
			if v, err := c.GetOrLoad(t.Context(), "4", answer(nil, nil)); err != nil || v != nil {
				t.Errorf("got %v, %v; want a nil value", v, err)
			}
		}
		if loads != before+3 || stored(t, s, "4") != "null" {
			t.Errorf("a nil pointer is a value like any other: %d loads, stored %q", loads-before, stored(t, s, "4"))
		}
	})
}

func TestEmptyValuesAreValues(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		c := newCache[[]string](t, s)
		for id, list := range map[string][]string{"empty": {}, "nil": nil, "of one empty text": {""}} {
			loads := 0
			for range 2 {
				got, err := c.GetOrLoad(t.Context(), id, func(context.Context, string) ([]string, error) { loads++; return list, nil })
				if err != nil || fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", list) {
					t.Errorf("%s: %#v, %v; want %#v", id, got, err, list)
				}
			}
			if loads != 1 {
				t.Errorf("%s: %d loads, want 1", id, loads)
			}
		}
	})
}

func TestAStaleCopyAnswersFailedLoadsUntilItExpiresOrIsDeleted(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		var reported redistest.Recorder
		c := newCache[string](t, s, onError(&reported), func(cfg *cache.Config) {
			cfg.TTL, cfg.StaleFor = 50*time.Millisecond, 10*time.Second
		})
		broken := errors.New("the database is down")
		fails := func(context.Context, string) (string, error) { return "", broken }
		src := newSource("v")
		want(t, get(t, c, src, "1"), "v")
		want(t, get(t, c, src, "gone"), "v")
		if err := c.Set(t.Context(), "set", "w"); err != nil {
			t.Fatal(err)
		}
		s.Advance(50 * time.Millisecond)

		v, err := c.GetOrLoad(t.Context(), "1", fails)
		want(t, redistest.Result[string]{Value: v, Err: err}, "v")
		v, err = c.GetOrLoad(t.Context(), "set", fails)
		want(t, redistest.Result[string]{Value: v, Err: err}, "w")
		v, err = c.GetOrLoad(t.Context(), "1", func(context.Context, string) (string, error) { panic("x") })
		want(t, redistest.Result[string]{Value: v, Err: err}, "v")
		if got := c.Stats(); got.StaleHits != 3 || len(reported.All()) != 3 {
			t.Errorf("%d stale hits, OnError received %v; want 3 of each", got.StaleHits, reported.All())
		}
		if _, err := c.GetOrLoad(t.Context(), "unknown", fails); err != broken {
			t.Errorf("without a copy: %v, want the loader's error", err)
		}

		// A loader that says "not found" has not failed, and ends the copy.
		absent := func(context.Context, string) (string, error) { return "", cache.ErrNotFound }
		if _, err := c.GetOrLoad(t.Context(), "gone", absent); !errors.Is(err, cache.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
		if _, err := c.GetOrLoad(t.Context(), "gone", fails); err != broken {
			t.Errorf("a value that no longer exists was resurrected: %v", err)
		}

		if err := c.Delete(t.Context(), "1"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.GetOrLoad(t.Context(), "1", fails); err != broken {
			t.Errorf("a deleted value was resurrected: %v", err)
		}
	})
}

func TestAStaleCopyThatDoesNotDecodeAnswersNothing(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		c := newCache[string](t, s, func(cfg *cache.Config) { cfg.StaleFor = time.Minute })
		s.Client().Set(t.Context(), keys.Sibling("stale", keyOf(s, "1")), "{corrupt", time.Minute)
		broken := errors.New("the database is down")
		_, err := c.GetOrLoad(t.Context(), "1", func(context.Context, string) (string, error) { return "", broken })
		if err != broken {
			t.Errorf("got %v, want the loader's error", err)
		}
	})
}

func TestAStaleCopyOutlivesItsValueByStaleFor(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		c := newCache[string](t, s, func(cfg *cache.Config) { cfg.TTL, cfg.StaleFor = 10*time.Minute, time.Minute })
		want(t, get(t, c, newSource("v"), "loaded"), "v")
		if err := c.Set(t.Context(), "set", "v"); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"loaded", "set"} {
			left := s.Client().PTTL(t.Context(), keys.Sibling("stale", keyOf(s, id))).Val()
			if left <= 10*time.Minute || left > 11*time.Minute {
				t.Errorf("%s: the copy has %v to live, want 11m", id, left)
			}
		}
	})
}

// Another version of the service runs without stale copies.
func TestASetLeavesNoOlderStaleCopy(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		with := newCache[string](t, s, func(cfg *cache.Config) { cfg.StaleFor = time.Minute })
		without := newCache[string](t, s)
		if err := errors.Join(with.Set(t.Context(), "1", "old"), without.Set(t.Context(), "1", "new")); err != nil {
			t.Fatal(err)
		}
		if n := s.Client().Exists(t.Context(), keys.Sibling("stale", keyOf(s, "1"))).Val(); n != 0 {
			t.Error("the stale copy is older than the value")
		}
	})
}

// A load that is refused must not leave its value as the stale copy.
func TestADeleteDuringALoadKeepsItsStaleCopyOutToo(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		c, src := newCache[string](t, s, func(cfg *cache.Config) { cfg.StaleFor = time.Minute }), newSource("old")
		slow, first := slowLoad(t, c, src, "1")
		if err := c.Delete(t.Context(), "1"); err != nil {
			t.Fatal(err)
		}
		close(slow.open)
		<-first
		if n := s.Client().Exists(t.Context(), keys.Sibling("stale", keyOf(s, "1"))).Val(); n != 0 {
			t.Error("a stale copy of a deleted value")
		}
	})
}

func TestAValueWithoutATTLIsNotRenewed(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		var scripts atomic.Int32
		rdb := s.Client()
		rdb.AddHook(redistest.Spy(func(cmd redis.Cmder) {
			if cmd.Name() == "evalsha" {
				scripts.Add(1)
			}
		}))
		c := newCacheOn[string](t, s, rdb, func(cfg *cache.Config) { cfg.RefreshAhead = 30 * time.Second })
		s.Client().Set(t.Context(), keyOf(s, "1"), `"foreign"`, 0)
		want(t, get(t, c, newSource("renewed"), "1"), "foreign")
		if err := c.Close(); err != nil { // waits for a renewal, which would ask for the lease
			t.Fatal(err)
		}
		if got := scripts.Load(); got != 0 {
			t.Errorf("%d scripts were sent", got)
		}
		s.Client().Del(t.Context(), keyOf(s, "1"))
	})
}

// In the other order a value could be read with the TTL of the next one.
func TestTheTTLIsReadBeforeTheValue(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		var sent []string
		rdb := s.Client()
		rdb.AddHook(redistest.Spy(func(cmd redis.Cmder) {
			if cmd.Name() == "get" || cmd.Name() == "pttl" {
				sent = append(sent, cmd.Name())
			}
		}))
		c := newCacheOn[string](t, s, rdb, func(cfg *cache.Config) { cfg.RefreshAhead = 30 * time.Second })
		s.Client().Set(t.Context(), keyOf(s, "1"), `"v"`, time.Minute)
		want(t, get(t, c, newSource("x"), "1"), "v")
		if !slices.Equal(sent, []string{"pttl", "get"}) {
			t.Errorf("sent %v", sent)
		}
	})
}

func TestMaxValueBytesKeepsLargeValuesOut(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		var reported redistest.Recorder
		c := newCache[string](t, s, onError(&reported), func(cfg *cache.Config) { cfg.MaxValueBytes = 100 })
		large := strings.Repeat("x", 99) // and two quotes
		if err := c.Set(t.Context(), "1", large); !errors.Is(err, cache.ErrTooLarge) {
			t.Errorf("Set = %v, want ErrTooLarge", err)
		}
		if err := c.SetMany(t.Context(), map[string]string{"1": large, "2": "small"}); !errors.Is(err, cache.ErrTooLarge) {
			t.Errorf("SetMany = %v, want ErrTooLarge", err)
		}
		if got := stored(t, s, "2"); got != "" {
			t.Error("SetMany sent a part of what it refused")
		}
		src := newSource(large)
		want(t, get(t, c, src, "1"), large)
		want(t, get(t, c, src, "1"), large)
		if src.count() != 2 || stored(t, s, "1") != "" || !reported.Has("too large") {
			t.Errorf("%d loads, OnError received %v", src.count(), reported.All())
		}
		if got := c.Stats().LeaseWaits; got != 0 {
			t.Errorf("the second load waited %d times for the lease of the first", got)
		}
		if err := c.Set(t.Context(), "3", large[:98]); err != nil {
			t.Errorf("a value of exactly 100 bytes: %v", err)
		}
	})
}
