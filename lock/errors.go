package lock

import (
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/refusal"
)

var (
	// ErrHeld is returned by Try and TryDo when another holder has the lock. It is
	// also part of the error of an Acquire or Do whose context ended while another
	// holder had it.
	ErrHeld = errors.New("lock: held by another")

	// ErrLost is the cause with which a lock's context is cancelled when the
	// lock can no longer be trusted: it could not be renewed in time, its key
	// was gone, or MaxHold has passed. Release, Fence, Do and TryDo return it.
	ErrLost = errors.New("lock: lost")

	// ErrMaxHold is the ErrLost of a lock that was held for Config.MaxHold.
	ErrMaxHold = fmt.Errorf("%w: held for longer than Config.MaxHold", ErrLost)

	// ErrLate is returned when Redis granted a lock so late that it could not be
	// trusted any more. The caller does not hold it; it is given back.
	ErrLate = errors.New("lock: granted too late to be trusted")

	// ErrReplicas is returned when fewer replicas than Config.Replicas.N
	// acknowledged a lock in time. The caller does not hold it; it is given back.
	ErrReplicas = errors.New("lock: not acknowledged by enough replicas")

	// ErrEmptyID is returned for an empty id, before anything is sent.
	ErrEmptyID = errors.New("lock: empty id")

	// ErrClosed is returned by every call after Close, and to callers that wait while
	// Close is called. It is the cause with which Close cancels the contexts of locks
	// that are still held.
	ErrClosed = errors.New("lock: closed")
)

var errNoFunction = errors.New("lock: the function is nil")

// errPanicked is the error of a request in which a hook of the client panicked.
var errPanicked = errors.New("lock: a hook of the client panicked; it is not known whether Redis got the request")

// The reasons for which a lock was lost.
var (
	errExpired = fmt.Errorf("%w: not renewed in time", ErrLost)
	errGone    = fmt.Errorf("%w: its key expired, was deleted, or is another holder's", ErrLost)
)

// worthWaiting reports whether waiting may end the reason for err.
func worthWaiting(err error) bool {
	var reply redis.Error
	switch {
	case errors.Is(err, ErrHeld), errors.Is(err, ErrLate):
		return true
	case errors.Is(err, ErrClosed), errors.Is(err, ErrReplicas), errors.Is(err, redis.ErrClosed):
		return false
	case errors.As(err, &reply):
		return refusal.Passes(reply)
	}
	return true
}
