package durability

import (
	"flag"
	"slices"
	"strings"
	"testing"

	"github.com/convkit/rediskit/internal/redistest"
)

var (
	runs = flag.Int("durability.runs", 0, "make every run this often, and measure the costs; 0 makes a few runs once")
	only = flag.String("durability.fault", "", "inject only faults whose name contains this")
	page = flag.String("durability.report", "", "write the results to this Markdown file")
)

func TestMain(m *testing.M) { redistest.Main(m) }

// TestDurability makes the runs, several at once, and then measures the costs alone.
func TestDurability(t *testing.T) {
	found := newResults(max(*runs, 1))
	t.Run("faults", func(t *testing.T) {
		for range max(*runs, 1) {
			for _, f := range faults {
				if !strings.Contains(f.name, *only) {
					continue
				}
				for _, s := range f.cells() {
					t.Run(f.name+"/"+s.name, func(t *testing.T) {
						t.Parallel()
						found.add(f, s, measure(t, f, s))
					})
				}
			}
		}
	})
	found.check(t)
	if *runs > 0 && *only == "" {
		t.Run("costs", func(t *testing.T) { found.costs = measureCosts(t) })
	}
	if *page != "" {
		if err := found.write(*page); err != nil {
			t.Error(err)
		}
	}
}

// cells returns the settings with which f is injected.
func (f fault) cells() []setting {
	if *runs == 0 {
		return f.quick
	}
	return f.settings
}

// check fails the test if a setting loses what Redis promises to keep, or if one loses
// nothing that cannot keep anything: then the test does not see losses.
func (r *results) check(t *testing.T) {
	for _, f := range faults {
		for _, s := range settings {
			all := r.of(f, s)
			if len(all) == 0 {
				continue
			}
			w := worst(all)
			if w.acked == 0 {
				t.Errorf("%s, %s: no change was acknowledged", f.name, s.name)
			}
			if s.in(f.keeps) && w.lost > 0 {
				t.Errorf("%s, %s: %d acknowledged changes are lost", f.name, s.name, w.lost)
			}
			if s.in(f.loses) && w.lost == 0 {
				t.Errorf("%s, %s: nothing is lost, which is impossible", f.name, s.name)
			}
		}
	}
}

func (s setting) in(some []setting) bool {
	return slices.ContainsFunc(some, func(other setting) bool { return other.name == s.name })
}
