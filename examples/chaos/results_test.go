package chaos

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
)

// silence replaces go-redis's logger, which writes much during each fault.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// Results are the results of a run: rounds, checks and violations by fault.
type results struct {
	seed  uint64
	began time.Time
	runs  map[string]int
	sums  map[string]*ledger
	skips map[string]bool
}

func newResults(seed uint64) *results {
	return &results{seed: seed, began: time.Now(), runs: map[string]int{}, sums: map[string]*ledger{}, skips: map[string]bool{}}
}

func (r *results) add(f fault, l *ledger) {
	r.runs[f.name]++
	sum := r.sums[f.name]
	if sum == nil {
		sum = newLedger()
		r.sums[f.name] = sum
	}
	for _, inv := range invariants {
		sum.checked(inv, l.checks[inv])
		sum.failures[inv] += l.failures[inv]
	}
	sum.keptAlone(l.madeAlone, l.lostAlone)
}

// skip notes that this machine cannot inject f.
func (r *results) skip(f fault) { r.skips[f.name] = true }

const head = `# What holds while Redis fails

` + "`make chaos`" + ` writes this page. In each round two members of a fleet use all packages
and both example services, over connections of their own, on servers of the round's own.
A fault then breaks the servers or the network for 0.3 to 1.3 s, or for as long as its name
says. A partition that makes Sentinels or a Cluster replace a primary lasts until the fleet works
again with the new one. Models check the calls from before the fault until after the recovery. A cell is the
number of checks. Violations, if there were any, stand before it in bold.

%s, %s/%s with %d CPUs, %d rounds in %v, seed %d. ` + "`make chaos SEED=%d`" + ` repeats the
faults, their order and their lengths.

`

// write writes the page.
func (r *results) write(path string) error {
	var b strings.Builder
	rounds := 0
	for _, n := range r.runs {
		rounds += n
	}
	fmt.Fprintf(&b, head, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		rounds, time.Since(r.began).Round(time.Second), r.seed, r.seed)
	b.WriteString("| fault | rounds |")
	for _, inv := range invariants {
		fmt.Fprintf(&b, " %s |", inv)
	}
	b.WriteString(" lost |\n|---|" + strings.Repeat("--:|", len(invariants)+2) + "\n")
	for _, f := range faults {
		if r.skips[f.name] {
			fmt.Fprintf(&b, "| %s | skipped |%s\n", f.name, strings.Repeat(" |", len(invariants)+1))
		}
		if r.runs[f.name] == 0 {
			continue
		}
		fmt.Fprintf(&b, "| %s | %d |", f.name, r.runs[f.name])
		for _, inv := range invariants {
			sum := r.sums[f.name]
			if n := sum.failures[inv]; n > 0 {
				fmt.Fprintf(&b, " **%d** of", n)
			}
			fmt.Fprintf(&b, " %d |", sum.checks[inv])
		}
		fmt.Fprintf(&b, " %d of %d |\n", r.sums[f.name].lostAlone, r.sums[f.name].madeAlone)
	}
	b.WriteString("\nWhat is checked:\n\n")
	for _, inv := range invariants {
		fmt.Fprintf(&b, "- **%s** – %s\n", inv, inv.meaning)
	}
	b.WriteString("\nThe last column is no check: of the sessions whose creation the primary alone has\n" +
		"acknowledged, without Config.Replicas, so many were gone after the fault.\n")
	b.WriteString("\n" + r.consistency())
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// consistency says what the verified hits prove.
func (r *results) consistency() string {
	checks, stale := 0, 0
	for _, sum := range r.sums {
		checks += sum.checks[verifiedCopies]
		stale += sum.failures[verifiedCopies]
	}
	if stale > 0 {
		return fmt.Sprintf("Of %d verified hits %d were out of date.\n", checks, stale)
	}
	return fmt.Sprintf("Of %d verified hits none was out of date. That proves a consistency of %s: a number of nines\n"+
		"needs ten times its inverse. `make verify` makes more checks.\n", checks, redistest.Nines(checks))
}
