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

// canary is part of every id, value, user and password that must not leak.
const canary = "c4nary"

// expectNoLeak fails the test if err, or an error that it wraps, could print the canary.
// what names where err is from.
func expectNoLeak(t testing.TB, what string, err error) {
	t.Helper()
	if text := leak(err); text != "" {
		t.Errorf("%s leaks: %s", what, text)
	}
}

// expectNoLeakIn fails the test if text has the canary.
func expectNoLeakIn(t testing.TB, what, text string) {
	t.Helper()
	if strings.Contains(strings.ToLower(text), canary) {
		t.Errorf("%s leaks: %s", what, text)
	}
}

// leak returns the first text of err, or of an error that it wraps, that has the canary.
func leak(err error) string {
	if err == nil {
		return ""
	}
	verbs := []string{"%v", "%+v", "%s", "%q", "%#v"}
	switch err.(type) {
	case *session.ConflictError[phase], *cache.PanicError, *pubsub.DecodeError:
		verbs = verbs[:4] // these hold data in a field, as their documentation says
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

// A fieldError has its text in a field and does not print it.
type fieldError struct{ text string }

func (fieldError) Error() string { return "fixed" }

// An opaqueError does not print the error that it wraps.
type opaqueError struct{ err error }

func (opaqueError) Error() string   { return "fixed" }
func (e opaqueError) Unwrap() error { return e.err }

func TestALeakIsFoundInEveryPartOfAnError(t *testing.T) {
	t.Parallel()
	plain := errors.New("it was " + canary)
	for name, err := range map[string]error{
		"text":   plain,
		"case":   errors.New("it was C4NARY"),
		"quoted": fmt.Errorf("%q", "x"+canary),
		"hidden": opaqueError{opaqueError{plain}},
		"joined": errors.Join(errors.New("fixed"), opaqueError{plain}),
		"field":  fieldError{canary},
		"wraps":  fmt.Errorf("%w and %w", errors.New("fixed"), plain),
	} {
		if leak(err) == "" {
			t.Errorf("%s: no leak was found in %#v", name, err)
		}
		if leak(opaqueError{err}) == "" {
			t.Errorf("%s: no leak was found in a wrapped error", name)
		}
	}
	for _, err := range []error{nil, errors.New("fixed"), opaqueError{errors.New("fixed")}, &session.ConflictError[phase]{Now: canary}} {
		if text := leak(err); text != "" {
			t.Errorf("%v: %s", err, text)
		}
	}
}
