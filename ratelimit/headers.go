package ratelimit

import (
	"strconv"
	"strings"
	"time"
)

// The header fields are those of draft-ietf-httpapi-ratelimit-headers-10, in the syntax
// of RFC 9651.

// policyField returns the value of the field RateLimit-Policy.
func policyField(policies []Policy) string {
	items := make([]string, len(policies))
	for i, p := range policies {
		items[i] = quoted(p.String()) + ";q=" + strconv.Itoa(p.limit())
		// The draft has whole seconds only, and w is optional.
		if window := p.window(); window > 0 && window%time.Second == 0 {
			items[i] += ";w=" + strconv.FormatInt(int64(window/time.Second), 10)
		}
	}
	return strings.Join(items, ", ")
}

// window returns the time in which limit() is allowed anew.
func (p Policy) window() time.Duration {
	if p.kind == gcra {
		return time.Duration(float64(p.per) * float64(p.burst) / float64(p.n))
	}
	return p.per
}

// limitField returns the value of the field RateLimit. Its t is RetryAfter for a denied
// request, and ResetAfter for an allowed one: a client that spreads r units over t
// seconds is never denied.
func limitField(res Result) string {
	t := res.ResetAfter
	if !res.Allowed {
		t = res.RetryAfter
	}
	return quoted(res.Policy.String()) + ";r=" + strconv.Itoa(res.Remaining) + ";t=" + wholeSeconds(t)
}

// wholeSeconds returns d as text, rounded up, so that no client comes too early.
func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// quoted returns text as a String of RFC 9651. New has checked that it is printable
// ASCII; quotes and backslashes are escaped.
func quoted(text string) string { return `"` + escape.Replace(text) + `"` }

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
