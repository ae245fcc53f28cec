// Package report words the errors of every package alike: with the operation
// and the object's name, and never a key, an id or a value.
package report

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redact"
)

// A Reporter makes the errors of one object, and tells its owner those that
// no caller gets.
type Reporter struct {
	pkg, name   string
	onError     func(context.Context, error)
	redisErrors atomic.Uint64
}

// New returns the Reporter of an object of the package pkg. name and onError
// are its Config's.
func New(pkg, name string, onError func(context.Context, error)) *Reporter {
	return &Reporter{pkg: pkg, name: name, onError: onError}
}

// Fail wraps an error of the library's own, or of the caller's.
func (r *Reporter) Fail(op string, err error) error {
	return &opError{r.pkg, op, r.name, err}
}

// Redis wraps an error of the client, without what it quotes, and counts it
// unless it only says that ctx has ended. Where ctx has ended, the result
// satisfies errors.Is(err, ctx.Err()).
func (r *Reporter) Redis(ctx context.Context, op string, err error) error {
	err = redact.Clean(err)
	switch ended := End(ctx); {
	case ended == nil:
		r.redisErrors.Add(1)
	case !errors.Is(err, ended):
		err = fmt.Errorf("%w: %w", ended, err)
	}
	return r.Fail(op, err)
}

// Tell tells OnError what no caller gets.
func (r *Reporter) Tell(ctx context.Context, err error) {
	if r.onError != nil {
		r.onError(ctx, err)
	}
}

// RedisErrors is how many errors of the client there were.
func (r *Reporter) RedisErrors() uint64 { return r.redisErrors.Load() }

// End is ctx's error. The deadline of a connection is that of its ctx and
// often fires first.
func End(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// Client says what is wrong with the client that was passed to what.
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

// An opError is an error with the operation and the object's name.
type opError struct {
	pkg, op, name string
	err           error
}

func (e *opError) Error() string {
	return e.pkg + ": " + e.op + " " + e.name + ": " + strings.TrimPrefix(e.err.Error(), e.pkg+": ")
}

func (e *opError) Unwrap() error { return e.err }
