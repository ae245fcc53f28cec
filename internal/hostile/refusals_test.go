package hostile

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/refusal"
	"github.com/convkit/rediskit/lock"
	"github.com/convkit/rediskit/pubsub"
	"github.com/convkit/rediskit/session"
)

// refusalForms are the places in which servers of all versions put a refusal.
var refusalForms = []string{
	"%s why",
	"ERR %s why script: 0b5f0d4, on @user_script:1.",
	"ERR Error running script (call to f_0b5f0d4): @user_script:1: @user_script: 1: -%s why",
}

// Every call of every package meets every refusal of the table. It returns, or reports, that
// refusal and no other answer; it says that a change is uncertain where the table says that
// it may have been made; and it waits where the table says that waiting helps.
func TestEveryCallMeansByARefusalWhatTheTableSays(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	for _, row := range refusal.All() {
		for i, form := range refusalForms {
			t.Run(fmt.Sprint(row.Words, i), func(t *testing.T) {
				t.Parallel()
				text := fmt.Sprintf(form, row.Words) + " '" + canary + "'"
				k := newKit(t, s.Hooked(func(func() error, ...string) error { return quotingReply(text) }), s.Prefix()+fmt.Sprint(i))
				for name, call := range k.calls(canary, talk{Speaker: canary, State: phase(canary)}) {
					var told []error
					var err error
					met := false
					// A busy machine may let shortWait pass before the call is sent.
					for wait := shortWait; !met && wait < 10*time.Second; wait *= 4 {
						ctx, cancel := context.WithTimeout(t.Context(), wait)
						reported := len(k.onError.All())
						err = call(ctx)
						cancel()
						expectNoLeak(t, name, err)
						told = append(k.onError.All()[reported:], err)
						r, _ := refusal.Of(errors.Join(told...))
						met = r == row || name == "check"
						if !errors.Is(err, context.DeadlineExceeded) {
							break
						}
					}
					if !met {
						t.Errorf("%s: %v, want the refusal", name, told)
					}
					for _, wrong := range []error{
						session.ErrNotFound, session.ErrExists, session.ErrConflict, session.ErrCorrupt,
						lock.ErrHeld, lock.ErrLate, lock.ErrLost, pubsub.ErrEncode,
					} {
						if errors.Is(err, wrong) {
							t.Errorf("%s: %v", name, err)
						}
					}
					if isChange(name) && errors.Is(err, session.ErrUncertain) != row.MayHaveRun {
						t.Errorf("%s: uncertain: %v; may have run: %v", name, err, row.MayHaveRun)
					}
					if waited := errors.Is(err, context.DeadlineExceeded); name == "lock do" && waited != row.Passes {
						t.Errorf("%s: %v; the refusal passes: %v", name, err, row.Passes)
					}
				}
				for _, err := range k.onError.All() {
					expectNoLeak(t, "OnError", err)
				}
				if n := k.locks.Stats().Abandoned; (n > 0) != row.MayHaveRun {
					t.Errorf("%d locks that may have been granted were given back", n)
				}
			})
		}
	}
}

// isChange reports whether a call changes a session by a script. An Update reads first.
func isChange(call string) bool {
	switch strings.TrimPrefix(call, "session ") {
	case "create", "put", "touch", "transition", "delete":
		return true
	}
	return false
}
