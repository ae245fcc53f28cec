package partitions

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/redistest/netlab"
)

var (
	runs = flag.Int("partitions.runs", 0, "inject every fault this often, and check all bounds; 0 injects a few faults once")
	only = flag.String("partitions.fault", "", "inject only faults whose name contains this")
	page = flag.String("partitions.report", "", "write the results to this Markdown file")
)

var (
	kinds         = []string{rediskitKind, plainKind}
	clientProcess = redistest.Child("client", runClient)
)

func TestMain(m *testing.M) { redistest.Main(m) }

// TestPartitions injects faults, one after the other.
func TestPartitions(t *testing.T) {
	if redistest.RaceEnabled && *runs == 0 {
		t.Skip("make test runs this: three more rounds with the race detector take minutes, and examples/chaos has the same faults")
	}
	results := newResults(max(*runs, 1))
	for i := range max(*runs, 1) {
		for _, f := range faults {
			if *only == "" && *runs == 0 && !f.quick || !strings.Contains(f.name, *only) {
				continue
			}
			t.Run(fmt.Sprint(f.name, " ", i+1), func(t *testing.T) { results.add(f, measure(t, f)) })
		}
	}
	results.check(t)
	if *page != "" {
		if err := results.write(*page); err != nil {
			t.Error(err)
		}
	}
}

// measure makes one run.
func measure(t *testing.T, f fault) map[string]figures {
	r := newRun(t, f, *runs > 0)
	if f.network {
		r.lab = netlab.New(t)
	}
	all := r.finish(f.inject(r))
	for _, kind := range kinds {
		t.Logf("%s: %v", kind, all[kind])
	}
	return all
}
