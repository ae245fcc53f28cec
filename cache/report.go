package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/convkit/rediskit/internal/redact"
)

// An opError is an error with the operation and the cache's name, and never
// an id or a value.
type opError struct {
	op, name string
	err      error
}

func (e *opError) Error() string {
	return "cache: " + e.op + " " + e.name + ": " + strings.TrimPrefix(e.err.Error(), "cache: ")
}

func (e *opError) Unwrap() error { return e.err }

// fail wraps an error of the cache's own.
func (e *engine) fail(op string, err error) error {
	return &opError{op, e.cfg.Name, err}
}

// failed wraps an error of the client, and counts it unless it only says
// that ctx has ended.
func (e *engine) failed(ctx context.Context, op string, err error) error {
	err = redact.Clean(err)
	switch ended := endOf(ctx); {
	case ended == nil:
		e.stats.redisErrors.Add(1)
	case !errors.Is(err, ended):
		err = fmt.Errorf("%w: %w", ended, err)
	}
	return e.fail(op, err)
}

// endOf is ctx's error. The deadline of a connection is that of its ctx and
// often fires first.
func endOf(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// told tells OnError what no caller gets.
func (e *engine) told(ctx context.Context, err error) {
	if e.cfg.OnError != nil {
		e.cfg.OnError(ctx, err)
	}
}

// redisFailed notes a failure that the loader makes good.
func (e *engine) redisFailed(ctx context.Context, op string, err error) {
	e.told(ctx, e.failed(ctx, op, err))
}

// undecodable notes a value in Redis that is none, and will be loaded anew.
func (e *engine) undecodable(ctx context.Context, op string, err error) {
	e.stats.undecodable.Add(1)
	e.told(ctx, e.fail(op, kindOf(err)))
}
