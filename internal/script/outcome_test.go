package script_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/breaker"
	"github.com/convkit/rediskit/internal/script"
)

func TestOnlyWhatWasSentAndNotAnsweredMayHaveRun(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{redis.Nil, false},
		{redis.ErrPoolTimeout, false},
		{redis.ErrPoolExhausted, false},
		{redis.ErrClosed, false},
		{breaker.ErrOpen, false},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, false},
		{&net.OpError{Op: "read", Err: errors.New("reset")}, true},
		{&net.OpError{Op: "write", Err: errors.New("broken pipe")}, true},
		{io.EOF, true},
		{context.DeadlineExceeded, true},
		{context.Canceled, true},
	} {
		for _, err := range []error{c.err, fmt.Errorf("wrapped: %w", c.err)} {
			if c.err == nil {
				err = nil
			}
			if got := script.MayHaveRun(err); got != c.want {
				t.Errorf("MayHaveRun(%v) = %v", err, got)
			}
		}
	}
}
