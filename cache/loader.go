package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
)

// A loader returns encoded values for ids. An id without one does not exist, unless
// there is an error: the error is for all ids without a value.
type loader func(ctx context.Context, ids []string) (map[string]loaded, error)

// loaded is one encoded value, or the reason why there is none.
type loaded struct {
	data []byte
	err  error
}

// runLoader runs the loader and returns when it does or when ctx ends, whichever is
// first. A panic and a runtime.Goexit become errors: the goroutine is ours, so nobody
// else can recover them.
func (l *loads) runLoader(ctx context.Context, load loader, ids []string) (map[string]loaded, error) {
	if ctx.Err() != nil {
		return nil, l.report.Fail("load", context.Cause(ctx))
	}
	type outcome struct {
		values map[string]loaded
		err    error
	}
	done := make(chan outcome, 1)
	l.life.Child(func() {
		out := outcome{err: l.report.Fail("load", ErrLoaderExited)}
		defer func() {
			if value := recover(); value != nil {
				out = outcome{err: l.report.Fail("load", &PanicError{value, debug.Stack()})}
			}
			done <- out
		}()
		out.values, out.err = load(ctx, ids)
	})
	select {
	case out := <-done:
		if out.err != nil && errors.Is(out.err, ctx.Err()) && !errors.Is(out.err, context.Cause(ctx)) {
			// The loader gave up because we ended its context: say why we did.
			out.err = l.report.Fail("load", fmt.Errorf("%w: %w", context.Cause(ctx), out.err))
		}
		return out.values, out.err
	case <-ctx.Done():
		return nil, l.report.Fail("load", context.Cause(ctx))
	}
}

// loadOne adapts the caller's function for one id.
func loadOne[V any](encode func(V) ([]byte, error), load func(context.Context, string) (V, error)) loader {
	return func(ctx context.Context, ids []string) (map[string]loaded, error) {
		v, err := load(ctx, ids[0])
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		var data []byte
		if err == nil {
			data, err = encode(v)
		}
		return map[string]loaded{ids[0]: {data, err}}, nil
	}
}

// loadMany adapts the caller's function for several ids.
func loadMany[V any](encode func(V) ([]byte, error), load func(context.Context, []string) (map[string]V, error)) loader {
	return func(ctx context.Context, ids []string) (map[string]loaded, error) {
		found, err := load(ctx, ids)
		values := make(map[string]loaded, len(ids))
		for _, id := range ids {
			if v, ok := found[id]; ok {
				data, err := encode(v)
				values[id] = loaded{data, err}
			}
		}
		return values, err
	}
}
