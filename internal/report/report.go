// Package report makes the errors of all packages in one form: they name the
// operation and the object, and never a key, an id or a value.
package report

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redact"
)

// A Reporter makes the errors of one object. It passes to OnError those that no
// caller gets. It is safe for concurrent use.
type Reporter struct {
	pkg, name   string
	onError     func(context.Context, error)
	redisErrors atomic.Uint64
}

// New returns the Reporter of an object of the package pkg. name and onError are
// those of the object's Config; onError may be nil.
func New(pkg, name string, onError func(context.Context, error)) *Reporter {
	return &Reporter{pkg: pkg, name: name, onError: onError}
}

// Fail wraps an error of the library itself, or of the caller. It removes nothing.
func (r *Reporter) Fail(op string, err error) error {
	return &opError{r.pkg, op, r.name, err}
}

// Redis wraps an error of the client, without the data that it quotes. It counts the
// error, unless ctx has ended. If ctx has ended, the result satisfies
// errors.Is(err, ctx.Err()).
func (r *Reporter) Redis(ctx context.Context, op string, err error) error {
	return r.Fail(op, r.Cause(ctx, err))
}

// Cause is Redis without the names, for an error that becomes part of another one.
func (r *Reporter) Cause(ctx context.Context, err error) error {
	err = redact.Clean(err)
	switch ended := End(ctx); {
	case ended == nil:
		r.redisErrors.Add(1)
	case !errors.Is(err, ended):
		err = fmt.Errorf("%w: %w", ended, err)
	}
	return err
}

// OnError passes an error that no caller gets to the object's OnError. A panic of that one
// reaches the caller whose goroutine it is. In the background it is reported once more, and
// a second panic ends the process.
func (r *Reporter) OnError(ctx context.Context, err error) {
	if r.onError != nil {
		r.onError(ctx, err)
	}
}

// RedisErrors returns how many errors of the client were counted.
func (r *Reporter) RedisErrors() uint64 { return r.redisErrors.Load() }

// End returns ctx.Err(), or context.DeadlineExceeded once the deadline of ctx is past.
// A connection has the same deadline and often fails first.
func End(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// Client returns an error if rdb, which was passed to what, cannot be used.
func Client(what string, rdb redis.UniversalClient) error {
	missing := rdb == nil
	switch rdb := rdb.(type) {
	case *redis.Client:
		missing = rdb == nil
	case *redis.ClusterClient:
		missing = rdb == nil
	case *redis.Ring:
		return errors.New(what + ": does not take a *redis.Ring; use a single server, Sentinel or a Cluster")
	}
	if missing {
		return errors.New(what + ": needs a client; pass the one that rediskit.Connect returned")
	}
	return nil
}

// An opError is an error with the names of the operation and of the object.
type opError struct {
	pkg, op, name string
	err           error
}

func (e *opError) Error() string {
	return e.pkg + ": " + e.op + " " + e.name + ": " + strings.TrimPrefix(e.err.Error(), e.pkg+": ")
}

func (e *opError) Unwrap() error { return e.err }

// detailed is an error that holds no data and prints more than its text with %+v, as
// *life.PanicError does with its stack.
type detailed interface {
	error
	fmt.Formatter
	SafeText()
}

// Format writes the text. With %+v, the stack of a recovered panic follows it.
func (e *opError) Format(f fmt.State, verb rune) {
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), e.Error())
	var inner detailed
	if verb == 'v' && f.Flag('+') && errors.As(e.err, &inner) {
		_, _ = io.WriteString(f, strings.TrimPrefix(fmt.Sprintf("%+v", inner), inner.Error()))
	}
}
