package sender

import (
	"errors"
	"net"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/breaker"
	"github.com/convkit/rediskit/internal/refusal"
)

// Outcome is what an error of a command says about the command.
type Outcome int

const (
	// Answered means that Redis replied. If the reply is an error, the command
	// changed nothing, provided that a script does not fail by itself once it has
	// written.
	Answered Outcome = iota
	// Unsent means that the command did not run and never will.
	Unsent
	// MayHaveRun means that the reply is lost: the command ran, or did not, or may
	// yet run. Or it is a script that the server has stopped in its midst.
	MayHaveRun
)

// OutcomeOf returns what err says about the command that it is of. Without an error
// the command was answered.
func OutcomeOf(err error) Outcome {
	if err == nil {
		return Answered
	}
	if _, left := errors.AsType[withdrawn](err); left {
		return Unsent
	}
	for _, unsent := range []error{redis.ErrPoolTimeout, redis.ErrPoolExhausted, redis.ErrClosed, breaker.ErrOpen, breaker.ErrOverloaded, refusal.ErrMisfit, ErrNoMap} {
		if errors.Is(err, unsent) {
			return Unsent
		}
	}
	var reply redis.Error
	if errors.As(err, &reply) {
		if r, _ := refusal.Of(reply); r.MayHaveRun {
			return MayHaveRun
		}
		return Answered
	}
	var network *net.OpError
	if errors.As(err, &network) && network.Op == "dial" {
		return Unsent
	}
	return MayHaveRun
}

// withdrawn is the end of a caller's ctx before its commands were sent. They never will be.
type withdrawn struct{ error }

func (w withdrawn) Unwrap() error { return w.error }
