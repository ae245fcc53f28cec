package rediskit

import "github.com/convkit/rediskit/internal/breaker"

// IsOutage reports whether err, of any package of this module, goes away when Redis is
// back: Redis was not reached, did not answer in time, hung up, or refused for now, as
// with LOADING or READONLY; or the call was refused because of that, with ErrUnavailable
// or ErrOverloaded. Answer a user's request with 503 then, and not with 500.
//
// It is false for everything that the caller or the configuration must change, such as
// ErrMisconfigured, a missing permission or a key of another type; for answers, such as a
// miss or a lock that is held; and for the end of the caller's own context, unless Redis
// had not answered by then. An error of an outage does not say whether the call ran.
func IsOutage(err error) bool { return breaker.IsOutage(err) }
