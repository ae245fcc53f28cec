package page

import (
	"fmt"
	"math"
	"strings"

	"golang.org/x/perf/benchmath"
)

// A ratio is the value of rediskit divided by the value of another contestant, in time or
// any other unit. For a rate it is inverted. Below 1 rediskit is better. The ratios of all
// rounds are summarized as benchstat does, by their median and its 95 % confidence
// interval.
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

// hasInterval reports whether there were enough rounds for an interval.
func (r ratio) hasInterval() bool { return !math.IsInf(r.lo, 0) && !math.IsInf(r.hi, 0) }

// ahead reports whether the other contestant is better than rediskit.
func (r ratio) ahead() bool { return r.hasInterval() && r.lo > 1 }

// String returns a text such as "0.63 (0.60–0.66)". It is bold if the other contestant is
// ahead, and begins with ≈ if the interval contains 1.
func (r ratio) String() string {
	text := number(r.median)
	if !r.hasInterval() {
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

// number formats x with two decimal places, or with two significant digits if x is small.
func number(x float64) string {
	if x != 0 && math.Abs(x) < 0.095 {
		return fmt.Sprintf("%.2g", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// isRate reports whether a higher value of the unit is better.
func isRate(unit string) bool { return strings.HasSuffix(unit, "/s") }

// quantity formats a value with three significant digits, in a suitable unit.
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

// digits formats x with three significant digits, and with commas between thousands.
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
