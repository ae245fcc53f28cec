package rediskit

import (
	"testing"

	"github.com/convkit/rediskit/internal/refusal"
)

type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

// Connect would give up at a reply that locks wait out.
func TestNoAdviceIsOnARefusalThatPasses(t *testing.T) {
	t.Parallel()
	for _, row := range refusal.All() {
		for _, text := range []string{row.Words + " and why", "ERR " + row.Words + " and why"} {
			if advice := adviceOn(reply(text), Config{}); (advice == "") != row.Passes {
				t.Errorf("%q passes: %v; the advice is %q", text, row.Passes, advice)
			}
		}
	}
}
