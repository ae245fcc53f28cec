package script

import (
	"errors"
	"net"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/breaker"
)

// MayHaveRun says whether err leaves open that the script ran, or may yet run.
// It did not where Redis answered with an error, provided that the script
// cannot fail once it has written, and where nothing was sent.
func MayHaveRun(err error) bool {
	if err == nil {
		return false
	}
	for _, unsent := range []error{redis.ErrPoolTimeout, redis.ErrPoolExhausted, redis.ErrClosed, breaker.ErrOpen} {
		if errors.Is(err, unsent) {
			return false
		}
	}
	var answer redis.Error
	var dial *net.OpError
	if errors.As(err, &answer) {
		return false
	}
	return !errors.As(err, &dial) || dial.Op != "dial"
}
