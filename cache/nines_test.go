package cache_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
)

var verifyFor = flag.Duration("verify.for", 0, "how long TestNines verifies hits; 0 is until some thousand are verified")

// TestNines verifies as many hits as it can, while other programs change the values, delete
// them and let them expire. It prints what that proves. make verify runs it for minutes.
func TestNines(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	c := newCacheOn[string](t, s, s.Client(), localOn, checkSome, verified)
	c.VerifyUpTo(100_000, 100*time.Millisecond)
	inUse(t, c)
	tr := &traffic{s: s, writer: s.Client(), get: c.Get}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var working sync.WaitGroup
	working.Go(func() {
		if err := tr.write(ctx, tr.changeSomehow); err != nil {
			t.Error(err)
		}
	})
	began := time.Now()
	enough := func() bool {
		if *verifyFor == 0 {
			return c.Stats().LocalSame >= 10_000
		}
		return time.Since(began) >= *verifyFor
	}
	ids := make([]string, trafficIDs)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !enough() {
		for n := range 200 {
			i := rand.IntN(trafficIDs)
			if n == 0 {
				i = int(tr.last.Load())
			}
			_, _ = c.Get(ctx, ids[i])
		}
		<-tick.C
	}
	took := time.Since(began)
	stop()
	working.Wait()
	got := c.Stats()
	if got.LocalStale != 0 || got.LocalSame == 0 || got.LocalState != cache.LocalTracking {
		t.Errorf("%+v", got)
	}
	t.Logf("%d hits verified in %v, %d stale: %s. %d had changed meanwhile, %d are unknown, %d more found no room.",
		got.LocalSame+got.LocalStale, took.Round(time.Second), got.LocalStale, redistest.Nines(int(got.LocalSame)),
		got.LocalChanged, got.LocalUnknown, got.LocalUnchecked)
}
