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
)

// A verdict is what the end of a call says about the server.
type verdict int

const (
	neutral verdict = iota
	alive
	dead
	// hungUp: the connection ended under the command. All connections may end at
	// once without the server being down, as when an ACL is loaded anew; only new
	// ones tell.
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
	case dialed(err): // even if for a reply, as of a Sentinel without a master
		return dead
	case errors.As(err, &reply): // redis.Nil is one of them
		if redis.IsLoadingError(reply) {
			return dead
		}
		return alive
	case errors.Is(err, ErrOpen), errors.Is(err, context.Canceled), errors.Is(err, redis.ErrClosed):
		return neutral
	case errors.Is(err, redis.ErrPoolTimeout): // blocking commands may hold all connections; a dead server fails those that do
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

// dialed reports whether err is a failed dial's.
func dialed(err error) bool {
	var dial *dialError
	return errors.As(err, &dial)
}

// TimedOut reports whether err came of waiting for too long.
func TimedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &t) && t.Timeout()
}

// cut reports whether the connection ended under the command.
func cut(err error) bool {
	return !spent(err) && (errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE))
}

// spent reports whether err is what a redis.Conn or redis.Tx answers with once its
// one connection has ended: it was not used again, nor ever will be. go-redis keeps
// the error's type to itself.
func spent(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "redis: Conn is in a bad state")
}

// broken reports whether the network failed in any other way.
func broken(err error) bool {
	var op *net.OpError
	var errno syscall.Errno
	return errors.As(err, &op) || errors.As(err, &errno)
}
