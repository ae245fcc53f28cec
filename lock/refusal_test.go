package lock_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/refusal"
	"github.com/convkit/rediskit/lock"
)

// Each server refuses the lock, and grants it once setting has its value.
func TestAcquireWaitsOutAServerThatRefusesForNow(t *testing.T) {
	t.Parallel()
	for words, test := range map[string]struct {
		args           []string
		arrange        func(*redistest.Process)
		setting, value string
	}{
		"OOM":        {args: []string{"--maxmemory", "1"}, setting: "maxmemory", value: "0"},
		"NOREPLICAS": {args: []string{"--min-replicas-to-write", "1"}, setting: "min-replicas-to-write", value: "0"},
		"MISCONF":    {arrange: (*redistest.Process).FailSnapshot, setting: "stop-writes-on-bgsave-error", value: "no"},
		"READONLY":   {args: []string{"--replicaof", "127.0.0.1 1"}, setting: "replica-read-only", value: "no"},
		"MASTERDOWN": {
			args:    []string{"--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "no", "--replica-read-only", "no"},
			setting: "replica-serve-stale-data", value: "yes",
		},
	} {
		t.Run(words, func(t *testing.T) {
			t.Parallel()
			p := redistest.Start(t, test.args...)
			if test.arrange != nil {
				test.arrange(p)
			}
			var reported redistest.Recorder
			k, err := lock.New(p.Client(), lock.Config{Key: "lock:*", Poll: 10 * time.Millisecond, OnError: reported.OnError})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = k.Close() })

			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, err = k.Acquire(ctx, "1")
			if r, _ := refusal.Of(err); !errors.Is(err, context.DeadlineExceeded) || r.Words != words {
				t.Errorf("Acquire = %v, want the context's error and %s", err, words)
			}

			waiting := acquire(t.Context(), k, "1")
			seen := len(reported.All())
			redistest.Eventually(t, func() bool { return len(reported.All()) > seen+1 }, "the waiter is refused")
			if err := p.Client().ConfigSet(t.Context(), test.setting, test.value).Err(); err != nil {
				t.Fatal(err)
			}
			mustRelease(t, got(t, waiting))
		})
	}
}

type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

func TestAcquireWaitsOutWhatPassesAndNothingElse(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	for _, row := range refusal.All() {
		t.Run(row.Words, func(t *testing.T) {
			t.Parallel()
			for _, form := range []string{"%s for this test", "ERR Error running script (call to f_0b): @user_script:1: -%s for this test"} {
				k := newLockerOn(t, s, s.Hooked(func(func() error, ...string) error {
					return reply(fmt.Sprintf(form, row.Words))
				}), ttl(100*time.Millisecond))
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				_, err := k.Acquire(ctx, "1")
				if r, _ := refusal.Of(err); r != row || errors.Is(err, ctx.Err()) != row.Passes {
					t.Errorf("Acquire = %v", err)
				}
				if abandoned := k.Stats().Abandoned; (abandoned > 0) != row.MayHaveRun {
					t.Errorf("%d requests may have taken the lock", abandoned)
				}
			}
		})
	}
}
