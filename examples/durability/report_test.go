package durability

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Results are the figures of all runs, by fault and setting.
type results struct {
	runs  int
	began time.Time
	load  string          // of the machine, before
	costs map[string]cost // by setting

	mu      sync.Mutex
	figures map[[2]string][]figures
}

func newResults(runs int) *results {
	return &results{runs: runs, began: time.Now(), load: loadAverage(), figures: map[[2]string][]figures{}}
}

func (r *results) add(f fault, s setting, found figures) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := [2]string{f.name, s.name}
	r.figures[at] = append(r.figures[at], found)
}

func (r *results) of(f fault, s setting) []figures {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.figures[[2]string{f.name, s.name}]
}

// write writes the page.
func (r *results) write(path string) error {
	var b strings.Builder
	fmt.Fprintf(&b, head, count(r.runs))
	r.losses(&b)
	b.WriteString(legend)
	for _, f := range faults {
		fmt.Fprintf(&b, "- **%s** – %s\n", f.name, f.meaning)
	}
	fmt.Fprintf(&b, particulars, limit, text(lockTTL))
	for _, f := range faults {
		r.details(&b, f)
	}
	r.prices(&b)
	b.WriteString(advice)
	r.circumstances(&b)
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

func count(runs int) string {
	if runs == 1 {
		return "one run"
	}
	return fmt.Sprint("the worst of ", runs, " runs")
}

// losses writes the table of all settings and faults.
func (r *results) losses(b *strings.Builder) {
	b.WriteString("| setting |")
	for _, f := range faults {
		fmt.Fprintf(b, " %s |", f.name)
	}
	b.WriteString(" Touch | Update |\n|---|" + strings.Repeat("--:|", len(faults)+2) + "\n")
	for _, s := range settings {
		fmt.Fprintf(b, "| %s |", s.name)
		for _, f := range faults {
			fmt.Fprintf(b, " %s |", r.loss(f, s))
		}
		fmt.Fprintf(b, " %s | %s |\n", micros(r.costs[s.name].touch), micros(r.costs[s.name].update))
	}
}

func (r *results) loss(f fault, s setting) string {
	all := r.of(f, s)
	switch {
	case !s.in(f.settings):
		return ""
	case len(all) == 0:
		return "not measured"
	}
	w := worst(all)
	switch {
	case w.acked == 0:
		return "–"
	case w.lost == 0:
		return "0"
	case w.all:
		return "all before it"
	}
	return fmt.Sprint(w.lost, " in ", text(w.within))
}

func text(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d < time.Second:
		return fmt.Sprint(d.Milliseconds(), " ms")
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

func micros(d time.Duration) string {
	if d == 0 {
		return "not measured"
	}
	return fmt.Sprint(d.Microseconds(), " µs")
}

// details writes all figures of one fault.
func (r *results) details(b *strings.Builder, f fault) {
	fmt.Fprintf(b, "\n### %s\n\n| setting | acknowledged | lost | within | not acknowledged | admitted | charges lost | two holders |\n|---|--:|--:|--:|--:|--:|--:|--:|\n", f.name)
	for _, s := range f.settings {
		all := r.of(f, s)
		if len(all) == 0 {
			fmt.Fprintf(b, "| %s | not measured | | | | | | |\n", s.name)
			continue
		}
		w := worst(all)
		fmt.Fprintf(b, "| %s | %d | %d | %s | %d | %d | %d | %s |\n",
			s.name, w.acked, w.lost, text(w.within), w.refused, w.admitted, w.charges, text(w.together))
	}
}

// prices writes what a call costs with each setting.
func (r *results) prices(b *strings.Builder) {
	b.WriteString(pricesHead)
	base := r.costs[none.name]
	for _, s := range settings {
		c := r.costs[s.name]
		if c.touch == 0 {
			fmt.Fprintf(b, "| %s | not measured | | | |\n", s.name)
			continue
		}
		fmt.Fprintf(b, "| %s | %s | %.1f | %s | %.1f |\n", s.name,
			micros(c.touch), float64(c.touch)/float64(base.touch), micros(c.update), float64(c.update)/float64(base.update))
	}
}

func (r *results) circumstances(b *strings.Builder) {
	fmt.Fprintf(b, circumstances,
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), serverVersion(), fileSystem(),
		count(r.runs), time.Since(r.began).Round(time.Second), r.load)
}

// loadAverage returns that of the last minute.
func loadAverage() string {
	average, err := os.ReadFile("/proc/loadavg")
	first, _, found := strings.Cut(string(average), " ")
	if err != nil || !found {
		return "unknown"
	}
	return first
}

func serverVersion() string {
	out, _ := exec.Command("redis-server", "--version").Output()
	for field := range strings.FieldsSeq(string(out)) {
		if version, ok := strings.CutPrefix(field, "v="); ok {
			return "redis-server " + version
		}
	}
	return "redis-server"
}

// fileSystem returns the kind of the one that has the servers' files, on which the cost of a
// sync depends.
func fileSystem() string {
	out, err := exec.Command("df", "--output=fstype", os.TempDir()).Output()
	words := strings.Fields(string(out)) // the head of the column, then the kind
	if err != nil || len(words) < 2 {
		return "an unknown file system"
	}
	return words[1]
}
