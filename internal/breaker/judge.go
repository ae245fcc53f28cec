package breaker

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/refusal"
)

// A verdict is what the result of a call says about the server.
type verdict int

const (
	neutral verdict = iota
	alive
	dead
	// hungUp: the connection ended during the command. All connections may end at
	// once while the server is up, for example when an ACL is reloaded. Only new
	// connections show whether it is up.
	hungUp
)

func judge(err error, elapsed time.Duration) verdict {
	if err == nil {
		return alive
	}
	var reply redis.Error
	switch {
	case spent(err):
		return neutral
	case dialed(err): // even if the cause is a reply, such as that of a Sentinel without a primary
		return dead
	case errors.As(err, &reply): // redis.Nil is one of them
		// A node of a Cluster that is down answers the PING that closes the breaker, and
		// may serve other slots.
		if r, refused := refusal.Of(reply); refused && !r.Alive && !redis.IsClusterDownError(reply) {
			return dead
		}
		return alive
	case unsent(err), errors.Is(err, context.Canceled), errors.Is(err, redis.ErrClosed):
		return neutral
	case errors.Is(err, redis.ErrPoolTimeout): // blocking commands may use all connections; if the server is dead, they fail
		return neutral
	case TimedOut(err):
		if elapsed < Patience {
			return neutral
		}
		return dead
	case cut(err):
		return hungUp
	case broken(err):
		return dead
	}
	return neutral // an argument or a reply that the client could not handle
}

// unsent reports whether a call was refused here.
func unsent(err error) bool {
	return errors.Is(err, ErrOpen) || errors.Is(err, ErrOverloaded) || errors.Is(err, refusal.ErrMisfit)
}

// dialed reports whether err is the error of a failed dial.
func dialed(err error) bool {
	var dial *dialError
	return errors.As(err, &dial)
}

// TimedOut reports whether err is that of a time-out or a deadline.
func TimedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &t) && t.Timeout()
}

// cut reports whether the connection ended during the command.
func cut(err error) bool {
	return !spent(err) && (errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE))
}

// spent reports whether err is the error of a redis.Conn or redis.Tx whose only
// connection has ended. That connection was not used again and never will be. go-redis
// does not export the type of this error.
func spent(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "redis: Conn is in a bad state")
}

// broken reports whether the network failed in any other way.
func broken(err error) bool {
	var op *net.OpError
	var errno syscall.Errno
	return errors.As(err, &op) || errors.As(err, &errno)
}

// IsOutage reports whether err goes away when the server is back: it was not reached, did
// not answer, hung up, or gave a refusal that passes, or the call was refused because of
// that. The end of the caller's context by itself is none.
func IsOutage(err error) bool {
	switch {
	case err == nil, errors.Is(err, refusal.ErrMisfit), errors.Is(err, context.Canceled), errors.Is(err, redis.ErrClosed):
		return false
	case errors.Is(err, ErrOpen), errors.Is(err, ErrOverloaded), errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return true
	}
	if reply := redis.Error(nil); errors.As(err, &reply) {
		return refusal.Passes(reply)
	}
	return broken(err) || cut(err) || errors.Is(err, os.ErrDeadlineExceeded)
}
