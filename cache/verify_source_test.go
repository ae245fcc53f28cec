package cache_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
)

// againstSource checks every hit in Redis. A Delete may take five seconds.
func againstSource(cfg *cache.Config) { cfg.Verify = cache.Verify{OneIn: 1, Source: 5 * time.Second} }

// sourceCounts are the outcomes in Stats.
type sourceCounts struct{ same, changed, stale, unknown, unchecked uint64 }

func countsOf(c *cache.Cache[string]) sourceCounts {
	s := c.Stats()
	return sourceCounts{s.SourceSame, s.SourceChanged, s.SourceStale, s.SourceUnknown, s.SourceUnchecked}
}

func TestAHitInRedisIsComparedWithItsSource(t *testing.T) {
	t.Parallel()
	type scene struct {
		t   *testing.T
		s   *redistest.Server
		c   *cache.Cache[string]
		src *source
	}
	set := func(sc scene, text string, ttl time.Duration) {
		if err := sc.s.Client().Set(sc.t.Context(), keyOf(sc.s, "1"), text, ttl).Err(); err != nil {
			sc.t.Error(err)
		}
	}
	remove := func(sc scene) {
		if err := sc.c.Delete(sc.t.Context(), "1"); err != nil {
			sc.t.Error(err)
		}
	}
	for name, tc := range map[string]struct {
		hit               string         // in Redis, instead of what the first miss loads
		before, meanwhile func(sc scene) // the check, and before a Delete is late
		want              sourceCounts
		left              string
	}{
		"the same": {want: sourceCounts{same: 1}, left: `"old"`},
		"the same, written by another program": {
			hit:  ` "old" `,
			want: sourceCounts{same: 1}, left: ` "old" `,
		},
		"changed without a Delete": {
			before: func(sc scene) { sc.src.set("new") },
			want:   sourceCounts{stale: 1}, left: "",
		},
		"changed, and the Delete comes in time": {
			before:    func(sc scene) { sc.src.set("new") },
			meanwhile: remove,
			want:      sourceCounts{changed: 1}, left: "",
		},
		"changed there and back, with a Delete": {
			before: func(sc scene) { sc.src.set("new") },
			meanwhile: func(sc scene) {
				sc.src.set("old")
				set(sc, `"old"`, time.Minute)
			},
			want: sourceCounts{changed: 1}, left: `"old"`,
		},
		"deleted before the check": {
			before: func(sc scene) { sc.src.set("new"); remove(sc) },
			want:   sourceCounts{changed: 1}, left: "",
		},
		"without a TTL": {
			before:    func(sc scene) { set(sc, `"old"`, 0); sc.src.set("new") },
			meanwhile: func(sc scene) { set(sc, `"old"`, time.Minute) }, // every key has one at the end
			want:      sourceCounts{unknown: 1}, left: `"old"`,
		},
		"a loader that fails": {
			before: func(sc scene) { sc.src.fail(errors.New("down")) },
			want:   sourceCounts{unknown: 1}, left: `"old"`,
		},
		"not there any more, without a Delete": {
			before: func(sc scene) { sc.src.fail(cache.ErrNotFound) },
			want:   sourceCounts{stale: 1}, left: "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
				reported := &redistest.Recorder{}
				sc := scene{t, s, newCache[string](t, s, againstSource, onError(reported)), newSource("old")}
				if tc.hit != "" {
					set(sc, tc.hit, time.Minute)
				} else {
					want(t, get(t, sc.c, sc.src, "1"), "old") // a miss, which is not checked
				}
				want(t, get(t, sc.c, sc.src, "1"), "old")
				if tc.before != nil {
					tc.before(sc)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if tc.meanwhile != nil {
					tc.meanwhile(sc)
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if got := countsOf(sc.c); got != tc.want {
					t.Errorf("got %+v, want %+v", got, tc.want)
				}
				if got := stored(t, s, "1"); got != tc.left {
					t.Errorf("%q is in Redis, want %q", got, tc.left)
				}
				var stale *cache.StaleError
				if len(reported.All()) != int(tc.want.stale) {
					t.Errorf("reported %v", reported.All())
				}
				for _, err := range reported.All() {
					if !errors.As(err, &stale) || !stale.Source || stale.Age < 5*time.Second || strings.Contains(err.Error(), s.Prefix()+":1") {
						t.Errorf("reported %v, %+v", err, stale)
					}
				}
			})
		})
	}
}

func TestHitsOfGetOrLoadManyAreComparedToo(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	c := newCache[string](t, s, againstSource, func(cfg *cache.Config) { cfg.Verify.Source = time.Millisecond })
	var text atomic.Value
	text.Store("old")
	read := func() {
		ids := []string{"1", "2", "3"}
		_, err := c.GetOrLoadMany(t.Context(), ids, func(_ context.Context, missing []string) (map[string]string, error) {
			found := map[string]string{}
			for _, id := range missing {
				found[id] = text.Load().(string)
			}
			return found, nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	read() // misses
	read()
	redistest.Eventually(t, func() bool { return countsOf(c) == sourceCounts{same: 3} }, "they are the same")
	text.Store("new")
	read()
	read() // two stale hits of each value, which is dropped once
	redistest.Eventually(t, func() bool { return countsOf(c) == sourceCounts{same: 3, stale: 6} }, "they are stale")
}

func TestGetIsNotComparedWithASource(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		c := newCache[string](t, s, againstSource)
		if err := c.Set(t.Context(), "1", "v"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(t.Context(), "1"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.GetMany(t.Context(), []string{"1", "2"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := countsOf(c); got != (sourceCounts{}) {
			t.Errorf("%+v, but Get has no loader", got)
		}
	})
}

func TestAtMost1024HitsWaitForTheirSource(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	c, src := newCache[string](t, s, againstSource), newSource("v")
	for range 3001 { // the first one is a miss
		want(t, get(t, c, src, "1"), "v")
	}
	redistest.Eventually(t, func() bool { return countsOf(c).same >= 1024 }, "the hits are checked")
	if got := countsOf(c); got.same+got.unchecked > 3000 || got.unchecked == 0 || got.changed+got.stale+got.unknown != 0 {
		t.Errorf("%+v", got)
	}
}
