package ratelimit

import (
	"strconv"
	"strings"
	"time"
)

// The fields are those of draft-ietf-httpapi-ratelimit-headers-10, in the
// syntax of RFC 9651.

// policyField is the value of RateLimit-Policy.
func policyField(policies []Policy) string {
	items := make([]string, len(policies))
	for i, p := range policies {
		items[i] = quoted(p.String()) + ";q=" + strconv.Itoa(p.limit())
		if window := p.window(); window > 0 && window%time.Second == 0 {
			items[i] += ";w=" + strconv.FormatInt(int64(window/time.Second), 10)
		} // the draft knows whole seconds only, and w is optional
	}
	return strings.Join(items, ", ")
}

// window is the time in which limit() is allowed anew.
func (p Policy) window() time.Duration {
	if p.kind == gcra {
		return time.Duration(float64(p.per) * float64(p.burst) / float64(p.n))
	}
	return p.per
}

// limitField is the value of RateLimit. Its t is when to try again or, for a
// request that was allowed, when all of the limit is there again: r units
// spread over t seconds never meet a denial.
func limitField(res Result) string {
	t := res.ResetAfter
	if !res.Allowed {
		t = res.RetryAfter
	}
	return quoted(res.Policy.String()) + ";r=" + strconv.Itoa(res.Remaining) + ";t=" + wholeSeconds(t)
}

// wholeSeconds is d as text, rounded up: nobody is told to come too early.
func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// quoted is a structured field's String: printable ASCII, as New has checked,
// with quotes and backslashes escaped.
func quoted(text string) string { return `"` + escape.Replace(text) + `"` }

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
