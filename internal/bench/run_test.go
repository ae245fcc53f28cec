package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/perf/benchfmt"

	"github.com/convkit/rediskit/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

func TestContestantsTakeTurnsAndAnotherOneIsFirstInEachRound(t *testing.T) {
	t.Parallel()
	var turns, recorded []string
	r := &run{rounds: 3, slice: time.Second, record: func(name string, _ int, _ ...benchfmt.Value) error {
		recorded = append(recorded, name)
		return nil
	}}
	err := r.alternate(t.Context(), "Q", []contestant{{by: "a"}, {by: "b"}, {by: "c"}}, func(by contestant, _ time.Duration) (int, []benchfmt.Value, error) {
		turns = append(turns, by.by)
		return 1, nil, nil
	})
	if got := strings.Join(turns, ""); err != nil || got != "abc"+"bca"+"cab"+"abc" {
		t.Errorf("turns %s, error %v", got, err)
	}
	if len(recorded) != 9 || recorded[0] != "Q/by=b" {
		t.Errorf("recorded %v, want all rounds except the one that does not count", recorded)
	}
}

func TestAFailedCallEndsTheTurnWithItsError(t *testing.T) {
	t.Parallel()
	want := errors.New("broken")
	_, _, err := timed(t.Context(), func(_ context.Context, g int) error {
		if g == 3 {
			return want
		}
		return nil
	}, 4, time.Millisecond)
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestEveryGoroutineMakesAtLeastOneCall(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	called := map[int]bool{}
	n, values, err := timed(t.Context(), func(_ context.Context, g int) error {
		mu.Lock()
		defer mu.Unlock()
		called[g] = true
		return nil
	}, 16, 0)
	if err != nil || len(called) != 16 || n < 16 {
		t.Errorf("%d calls by %d goroutines, error %v", n, len(called), err)
	}
	if values[0].Unit != "ns/op" || values[0].Value <= 0 {
		t.Errorf("measured %v", values)
	}
}

func TestAContestThatCannotBePreparedIsAnError(t *testing.T) {
	t.Parallel()
	want := errors.New("no server")
	a := &arena{ctx: t.Context()}
	_, err := a.enter(contest{name: "Q", enter: func(*arena) []contestant { check(want); return nil }})
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestTheProxyCountsRoundTripsAndNotCommands(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p, err := newRoundTripCounter(ctx, redistest.Mini(t).Addr())
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: p.listener.Addr().String(), Protocol: 2})
	t.Cleanup(func() { rdb.Close(); p.close() })
	incr := func(c redis.Cmdable) { c.Incr(ctx, "n"); c.Incr(ctx, "n") }
	pipeline := func() { _, _ = rdb.Pipelined(ctx, func(p redis.Pipeliner) error { incr(p); return nil }) }
	rdb.Ping(ctx)
	pipeline() // afterwards both pools have a connection
	for _, c := range []struct {
		what string
		do   func()
		want int64
	}{
		{"a command", func() { rdb.Get(ctx, "n") }, 1},
		{"two commands", func() { incr(rdb) }, 2},
		{"a pipeline of two", pipeline, 1},
		{"a large value", func() { rdb.Set(ctx, "n", strings.Repeat("x", 1<<20), 0) }, 1},
		{"its reply", func() { rdb.Get(ctx, "n") }, 1},
	} {
		before := p.count.Load()
		c.do()
		if got := p.count.Load() - before; got != c.want {
			t.Errorf("%s took %d round trips, want %d", c.what, got, c.want)
		}
	}
}

func TestContestsHaveUniqueNamesWithoutSpaces(t *testing.T) {
	t.Parallel()
	var names []string
	for _, c := range contests() {
		if slices.Contains(names, c.name) || strings.ContainsAny(c.name, " ") {
			t.Errorf("the name %q is used twice or has a space", c.name)
		}
		names = append(names, c.name)
	}
}

func TestANameThatBenchstatWouldCutIsRefused(t *testing.T) {
	t.Parallel()
	a := &arena{ctx: t.Context()}
	_, err := a.enter(contest{name: "Q", enter: func(*arena) []contestant { return []contestant{{by: "go-redis/cache"}} }})
	if err == nil {
		t.Error("a name with a slash was accepted")
	}
}

func TestTheTimeOfAScriptHasThatOfItsCommands(t *testing.T) {
	t.Parallel()
	const stats = "# Commandstats\r\ncmdstat_evalsha:calls=10,usec=100,usec_per_call=10.00,rejected_calls=0,failed_calls=0\r\n" +
		"cmdstat_hset:calls=20,usec=30,usec_per_call=1.50,rejected_calls=0,failed_calls=0\r\n" +
		"cmdstat_config|resetstat:calls=1,usec=500,usec_per_call=500.00,rejected_calls=0,failed_calls=0\r\n"
	if got, want := readCommandStats(stats), (work{seconds: 100e-6, sent: 10, inScripts: 20}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	_, plain, _ := strings.Cut(stats, "\r\ncmdstat_evalsha")
	if got, want := readCommandStats(plain), (work{seconds: 30e-6, sent: 20}); got != want {
		t.Errorf("without scripts got %+v, want %+v", got, want)
	}
}
