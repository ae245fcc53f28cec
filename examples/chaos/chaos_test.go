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
	runFor = flag.Duration("chaos.for", 0, "inject every fault, again and again for about this long; 0 injects a fewFaults")
	seed   = flag.Uint64("chaos.seed", 0, "repeat the faults of the run with this seed; 0 chooses a new one")
	only   = flag.String("chaos.fault", "", "inject only the fault with this name, also a slow one")
	page   = flag.String("chaos.report", "", "write the results to this Markdown file")
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil))) // the services log every fault
	redis.SetLogger(silence{})
	redistest.Main(m)
}

const (
	fewFaults = 4               // how many faults a run injects that is one test among many
	fullRun   = 5 * time.Minute // runs this long also inject slow faults and check times: they need a quiet machine
)

// maxGrowth is how many bytes of heap a later round may use more than the first round.
const maxGrowth = 16 << 20

// TestChaos injects faults, each into servers of its own.
func TestChaos(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", *seed)
	rng := rand.New(rand.NewPCG(*seed, 0))
	results := newResults(*seed)
	until := time.Now().Add(*runFor)
	var heap uint64
	injected, chosen := 0, false
	for pass := 0; pass == 0 || injected > 0 && time.Now().Before(until); pass++ {
		for _, i := range rng.Perm(len(faults)) {
			f := faults[i]
			duration := f.duration
			if duration == 0 {
				duration = 300*time.Millisecond + time.Duration(rng.Int64N(int64(time.Second)))
			}
			switch {
			case *only != "" && f.name != *only, *only == "" && f.slow && *runFor < fullRun:
				continue
			case *only == "" && *runFor == 0 && injected == fewFaults, pass > 0 && time.Now().After(until):
				continue
			}
			chosen = true
			goroutines := runtime.NumGoroutine()
			rd := &round{ledger: newLedger(), seed: rng.Uint64()}
			skipped := false
			t.Run(fmt.Sprint(f.name, " ", pass), func(t *testing.T) {
				defer func() { skipped = t.Skipped() }()
				rd.test(t, f, duration)
			})
			if skipped {
				results.skip(f)
				continue
			}
			injected++
			rd.checkGoroutines(t, goroutines)
			results.add(f, rd.ledger)
			if now := memory(); heap == 0 {
				heap = now
			} else if now > heap+maxGrowth {
				t.Errorf("%d bytes are in use after %s, %d after the first round", now, f.name, heap)
			}
		}
	}
	if !chosen {
		t.Error("no fault was injected: -chaos.fault must be the name of a fault")
	}
	if *page != "" {
		if err := results.write(*page); err != nil {
			t.Error(err)
		}
	}
}

// test runs a round with all workloads, and fails the test for each violation.
func (rd *round) test(t *testing.T, f fault, duration time.Duration) {
	rd.t, rd.topology = t, f.topology(t)
	rd.connect()
	rd.run(f, duration, newLists(), newCopies(), newOutages(*runFor >= fullRun), newSessions(), newAcknowledged(), newLocks(), newLimits(), newEvents(), newHeals(), newServices())
	for _, note := range rd.notes {
		t.Error(note)
	}
	if len(rd.notes) > 0 {
		t.Logf("the fault began at %s, and the fleet had recovered at %s", rd.window.from.Format(clockFormat), rd.window.to.Format(clockFormat))
	}
	for _, inv := range invariants {
		if rd.checks[inv] == 0 && inv != noGrowth && inv != quickAnswers && (inv != kept || rd.topology.copies > 0 || !f.loses) && (inv != grants || rd.topology.single()) {
			t.Errorf("nothing was checked of: %s", inv)
		}
	}
}

// checkGoroutines checks that all goroutines of the round have ended.
func (rd *round) checkGoroutines(t *testing.T, goroutines int) {
	rd.checked(noGrowth, 1)
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > goroutines+1 { // one of redistest, which starts servers, stays
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Errorf("%d goroutines instead of %d:\n%s", runtime.NumGoroutine(), goroutines, buf[:runtime.Stack(buf, true)])
			rd.violated(noGrowth, "%d goroutines instead of %d", runtime.NumGoroutine(), goroutines)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// memory returns how many bytes of the heap are in use.
func memory() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
