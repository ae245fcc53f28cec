package chaos

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

var (
	playFor = flag.Duration("chaos.for", 0, "play every fault, again and again for about this long; 0 plays a few")
	seed    = flag.Uint64("chaos.seed", 0, "repeat the faults of the run with this seed; 0 takes a new one")
	only    = flag.String("chaos.fault", "", "play only the fault of this name")
	page    = flag.String("chaos.report", "", "write the results to this Markdown file")
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil))) // the services tell of every fault
	redis.SetLogger(silence{})
	redistest.Main(m)
}

const (
	few     = 4               // faults, of a run that is one test among many
	fullRun = 5 * time.Minute // long enough for the faults that take long, and meant for a quiet machine
)

// maxGrowth is how many bytes more than after the first round may be in use
// after another.
const maxGrowth = 16 << 20

// TestChaos plays faults, each on servers of its own.
func TestChaos(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", *seed)
	rng := rand.New(rand.NewPCG(*seed, 0))
	results := newResults(*seed)
	until := time.Now().Add(*playFor)
	var heap uint64
	played := 0
	for lap := 0; lap == 0 || played > 0 && time.Now().Before(until); lap++ {
		for _, i := range rng.Perm(len(faults)) {
			f := faults[i]
			hold := f.hold
			if hold == 0 {
				hold = 300*time.Millisecond + time.Duration(rng.Int64N(int64(time.Second)))
			}
			switch {
			case *only != "" && f.name != *only, f.slow && *playFor < fullRun:
				continue
			case *only == "" && *playFor == 0 && played == few, lap > 0 && time.Now().After(until):
				continue
			}
			played++
			goroutines := runtime.NumGoroutine()
			w := &world{ledger: newLedger(), seed: rng.Uint64()}
			t.Run(fmt.Sprint(f.name, " ", lap), func(t *testing.T) { w.round(t, f, hold) })
			w.shrinks(t, goroutines)
			results.add(f, w.ledger)
			if now := memory(); heap == 0 {
				heap = now
			} else if now > heap+maxGrowth {
				t.Errorf("%d bytes are in use after %s, %d after the first round", now, f.name, heap)
			}
		}
	}
	if played == 0 {
		t.Error("no fault was played: -chaos.fault must be the name of one")
	}
	if *page != "" {
		if err := results.write(*page); err != nil {
			t.Error(err)
		}
	}
}

// round plays a fault once and fails the test for what it violated.
func (w *world) round(t *testing.T, f fault, hold time.Duration) {
	w.t, w.stage = t, f.stage(t)
	w.connect()
	w.play(f, hold, newLists(), newCopies(), newOutages(*playFor >= fullRun), newSessions(), newLocks(), newLimits(), newEvents(), newServices())
	for _, note := range w.notes {
		t.Error(note)
	}
	for _, inv := range invariants {
		if w.checks[inv] == 0 && inv != noGrowth && inv != quickAnswers && (inv != grants || w.stage.single()) {
			t.Errorf("nothing was checked of: %s", inv)
		}
	}
}

// shrinks checks that all goroutines of a round have ended with it.
func (w *world) shrinks(t *testing.T, goroutines int) {
	w.checked(noGrowth, 1)
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > goroutines+1 { // redistest keeps one that starts servers
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Errorf("%d goroutines instead of %d:\n%s", runtime.NumGoroutine(), goroutines, buf[:runtime.Stack(buf, true)])
			w.violated(noGrowth, "%d goroutines instead of %d", runtime.NumGoroutine(), goroutines)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// memory is what is in use on the heap.
func memory() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
