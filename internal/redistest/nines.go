package redistest

import (
	"strconv"
	"strings"
)

// Nines returns the share of good cases that checks prove if all of them were good, such as
// "99.9 %". That needs ten times a thousand checks: if only 99.9 % of the cases were good,
// one of e¹⁰, 22,000 runs would find no bad one.
func Nines(checks int) string {
	if checks < 100 {
		return "0 %"
	}
	n := len(strconv.Itoa(checks)) - 2 // the nines
	if n <= 2 {
		return strings.Repeat("9", n) + strings.Repeat("0", 2-n) + " %"
	}
	return "99." + strings.Repeat("9", n-2) + " %"
}
