package page

import (
	"fmt"
	"math"
	"strings"

	"golang.org/x/perf/benchmath"
)

// A ratio is what rediskit needs over what another needs, of time or whatever else the
// unit counts: below 1 rediskit is better. The rounds' ratios are summed up as
// benchstat sums up a benchmark, by their median and its 95 % confidence interval.
type ratio struct{ median, lo, hi float64 }

func (c *contest) ratio(by, unit string) (r ratio, ok bool) {
	if c.cells[own] == nil || c.cells[by] == nil {
		return ratio{}, false
	}
	ours, theirs := c.cells[own].values[unit], c.cells[by].values[unit]
	var rounds []float64
	for i := range min(len(ours), len(theirs)) {
		round := ours[i] / theirs[i]
		if isRate(unit) {
			round = 1 / round
		}
		if ours[i] == theirs[i] { // 0 of 0 too
			round = 1
		}
		rounds = append(rounds, round)
	}
	if len(rounds) == 0 {
		return ratio{}, false
	}
	return summary(rounds), true
}

func summary(values []float64) ratio {
	s := benchmath.NewSample(values, &benchmath.DefaultThresholds)
	sum := benchmath.AssumeNothing.Summary(s, 0.95)
	return ratio{sum.Center, sum.Lo, sum.Hi}
}

// called says that there were rounds enough for an interval.
func (r ratio) called() bool { return !math.IsInf(r.lo, 0) && !math.IsInf(r.hi, 0) }

// ahead says that the other is better than rediskit.
func (r ratio) ahead() bool { return r.called() && r.lo > 1 }

// String is "0.63 (0.60–0.66)", bold where the other is ahead and with ≈ where nobody is.
func (r ratio) String() string {
	text := number(r.median)
	if !r.called() {
		return text
	}
	text += fmt.Sprintf(" (%s–%s)", number(r.lo), number(r.hi))
	switch {
	case r.ahead():
		return "**" + text + "**"
	case r.hi >= 1:
		return "≈ " + text
	}
	return text
}

// number has two places, or two digits below that.
func number(x float64) string {
	if x != 0 && math.Abs(x) < 0.095 {
		return fmt.Sprintf("%.2g", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// isRate says that more is better.
func isRate(unit string) bool { return strings.HasSuffix(unit, "/s") }

// quantity is a value with three digits, in a unit that suits it.
func quantity(x float64, unit string) string {
	if isTime(unit) {
		for _, u := range []struct {
			is   float64
			name string
		}{{1, "s"}, {1e-3, "ms"}, {1e-6, "µs"}} {
			if x >= u.is {
				return digits(x/u.is) + " " + u.name
			}
		}
		return digits(x*1e9) + " ns"
	}
	return digits(x)
}

func isTime(unit string) bool {
	return strings.HasPrefix(unit, "sec") || strings.HasSuffix(unit, "-sec")
}

// digits is x with three of them, and commas between thousands.
func digits(x float64) string {
	if x < 99.95 {
		return fmt.Sprintf("%.3g", x)
	}
	scale := math.Pow(10, max(0, math.Floor(math.Log10(x))-2))
	text := fmt.Sprintf("%.0f", math.Round(x/scale)*scale)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
