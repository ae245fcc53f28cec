package sender_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/breaker"
	"github.com/convkit/rediskit/internal/sender"
)

type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

func TestOnlyWhatWasSentAndNotAnsweredMayHaveRun(t *testing.T) {
	for _, c := range []struct {
		err  error
		want sender.Outcome
	}{
		{nil, sender.Answered},
		{redis.Nil, sender.Answered},
		{redis.ErrPoolTimeout, sender.Unsent},
		{redis.ErrPoolExhausted, sender.Unsent},
		{redis.ErrClosed, sender.Unsent},
		{breaker.ErrOpen, sender.Unsent},
		{breaker.ErrOverloaded, sender.Unsent},
		{sender.ErrNoMap, sender.Unsent},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, sender.Unsent},
		{&net.OpError{Op: "read", Err: errors.New("reset")}, sender.MayHaveRun},
		{&net.OpError{Op: "write", Err: errors.New("broken pipe")}, sender.MayHaveRun},
		{io.EOF, sender.MayHaveRun},
		{context.DeadlineExceeded, sender.MayHaveRun},
		{context.Canceled, sender.MayHaveRun},
		{reply("NOPERM this user has no permissions to run the 'evalsha' command"), sender.Answered},
		{reply("OOM command not allowed when used memory > 'maxmemory'. script: 0b, on @user_script:1."), sender.Answered},
		{reply("ERR ACL failure in script: User a has no permissions to run the 'pexpire' command"), sender.MayHaveRun},
	} {
		for _, err := range []error{c.err, fmt.Errorf("wrapped: %w", c.err)} {
			if c.err == nil {
				err = nil
			}
			if got := sender.OutcomeOf(err); got != c.want {
				t.Errorf("OutcomeOf(%v) = %v, want %v", err, got, c.want)
			}
		}
	}
}
