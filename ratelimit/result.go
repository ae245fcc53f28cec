package ratelimit

import "time"

// A Result is a decision. With several policies it is about the one that binds. For an
// allowed request that is the policy with the least remaining; for a denied one, the
// policy that denies with the longest RetryAfter.
type Result struct {
	// Allowed says whether the request may go ahead. If so, it was charged to every
	// policy, else to none.
	Allowed bool

	// Policy is the policy that binds.
	Policy Policy

	// Limit is the most that Policy ever allows at once.
	Limit int

	// Remaining is how many more would be allowed right now.
	Remaining int

	// RetryAfter is how long to wait until the same request would be allowed, unless
	// others are allowed meanwhile. It is never too short. 0 if Allowed.
	RetryAfter time.Duration

	// ResetAfter is how long it takes, without further requests, until Remaining is
	// Limit. It is never too short. 0 if Remaining is Limit.
	ResetAfter time.Duration

	// Degraded says that Redis did not decide but Config.WhenDown did. The numbers are
	// then a guess (FailOpen, FailClosed) or this process's own (Local), and the
	// request may have been charged in Redis.
	Degraded bool

	// Err is why Redis did not decide; nil unless Degraded.
	Err error
}

// binding returns the one of two policies' Results that binds. Both have the same
// Allowed, because a denial by one policy is a denial by the limiter. Only a policy that
// denies has a RetryAfter.
func binding(a, b Result) Result {
	switch {
	case a.RetryAfter != b.RetryAfter:
		if a.RetryAfter > b.RetryAfter {
			return a
		}
		return b
	case a.Remaining < b.Remaining, a.Remaining == b.Remaining && a.ResetAfter >= b.ResetAfter:
		return a
	}
	return b
}
