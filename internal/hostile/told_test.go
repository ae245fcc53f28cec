package hostile

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/pubsub"
	"github.com/convkit/rediskit/session"
)

// canary is part of every id, value, user and password that must not be told.
const canary = "c4nary"

// tellsNothing fails the test if anything in the tree of err could print the
// canary.
func tellsNothing(t testing.TB, what string, err error) {
	t.Helper()
	if text := leak(err); text != "" {
		t.Errorf("%s tells %s", what, text)
	}
}

// textTellsNothing fails the test if text has the canary.
func textTellsNothing(t testing.TB, what, text string) {
	t.Helper()
	if strings.Contains(strings.ToLower(text), canary) {
		t.Errorf("%s tells %s", what, text)
	}
}

// leak is the first text of err, or of an error in it, that has the canary.
func leak(err error) string {
	if err == nil {
		return ""
	}
	verbs := []string{"%v", "%+v", "%s", "%q", "%#v"}
	switch err.(type) {
	case *session.ConflictError[session.State], *cache.PanicError, *pubsub.DecodeError:
		verbs = verbs[:4] // these hold data in a field, as they say
	}
	for _, verb := range verbs {
		if text := fmt.Sprintf(verb, err); strings.Contains(strings.ToLower(text), canary) {
			return text
		}
	}
	switch err := err.(type) {
	case interface{ Unwrap() error }:
		return leak(err.Unwrap())
	case interface{ Unwrap() []error }:
		for _, inner := range err.Unwrap() {
			if text := leak(inner); text != "" {
				return text
			}
		}
	}
	return ""
}

type quoting struct{ text string }

func (quoting) Error() string { return "fixed" }

type hiding struct{ err error }

func (hiding) Error() string   { return "fixed" }
func (e hiding) Unwrap() error { return e.err }

func TestALeakIsFoundWhereverItIs(t *testing.T) {
	t.Parallel()
	plain := errors.New("it was " + canary)
	for name, err := range map[string]error{
		"text":   plain,
		"case":   errors.New("it was C4NARY"),
		"quoted": fmt.Errorf("%q", "x"+canary),
		"hidden": hiding{hiding{plain}},
		"joined": errors.Join(errors.New("fixed"), hiding{plain}),
		"field":  quoting{canary},
		"wraps":  fmt.Errorf("%w and %w", errors.New("fixed"), plain),
	} {
		if leak(err) == "" {
			t.Errorf("%s: no leak was found in %#v", name, err)
		}
		if leak(hiding{err}) == "" {
			t.Errorf("%s: no leak was found below another error", name)
		}
	}
	for _, err := range []error{nil, errors.New("fixed"), hiding{errors.New("fixed")}, &session.ConflictError[session.State]{Now: canary}} {
		if text := leak(err); text != "" {
			t.Errorf("%v: %s", err, text)
		}
	}
}
