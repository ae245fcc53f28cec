package life_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/convkit/rediskit/internal/life"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errEnded = errors.New("ended")

func none(error) {}

type key struct{}

func TestAGoroutineHasTheValuesOfItsCallerAndTheEndOfItsLife(t *testing.T) {
	l := life.New(none)
	caller, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	cancel()
	started, causes := make(chan error), make(chan error)
	l.Go(caller, func(ctx context.Context) {
		if ctx.Value(key{}) != "value" {
			t.Error("the value of the caller's context is missing")
		}
		started <- ctx.Err()
		<-ctx.Done()
		causes <- context.Cause(ctx)
	})
	if err := <-started; err != nil {
		t.Errorf("the goroutine ended with its caller: %v", err)
	}
	l.End(errEnded)
	l.End(errors.New("the second call does not count"))
	if cause := <-causes; cause != errEnded {
		t.Errorf("the context ended with %v, not with the cause", cause)
	}
	if !l.Wait(time.Minute) {
		t.Error("Wait did not see the goroutine return")
	}
}

func TestNothingStartsAfterEnd(t *testing.T) {
	l := life.New(none)
	l.End(errEnded)
	if l.Go(t.Context(), func(context.Context) { t.Error("it ran") }) || l.Begin() {
		t.Error("something began after End")
	}
	if !l.Wait(time.Minute) {
		t.Error("Wait waits for nothing")
	}
}

func TestWaitGivesUpAtItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := life.New(none)
		stubborn := make(chan struct{})
		l.Go(t.Context(), func(context.Context) { <-stubborn })
		l.End(errEnded)
		start := time.Now()
		if l.Wait(time.Second) {
			t.Error("Wait did not wait for a goroutine that still runs")
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("Wait took %v", took)
		}
		close(stubborn)
		if !l.Wait(time.Second) {
			t.Error("Wait did not see the goroutine return")
		}
	})
}

func TestWaitCountsTheCallersOwnGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := life.New(none)
		if !l.Begin() {
			t.Fatal("nothing may begin")
		}
		l.End(errEnded)
		if l.Wait(time.Second) {
			t.Error("Wait did not wait for Done")
		}
		l.Done()
		if !l.Wait(time.Second) {
			t.Error("Wait waits after Done")
		}
	})
}

func TestWaitCountsAChildThatStartsAfterEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := life.New(none)
		stubborn := make(chan struct{})
		l.Go(t.Context(), func(ctx context.Context) {
			<-ctx.Done()
			l.Child(func() { <-stubborn })
		})
		l.End(errEnded)
		if l.Wait(time.Second) {
			t.Error("Wait did not wait for the child")
		}
		close(stubborn)
		if !l.Wait(time.Second) {
			t.Error("Wait did not see the child return")
		}
	})
}

func TestStartsAndEndsMayRace(*testing.T) {
	for range 100 {
		l := life.New(none)
		var starters sync.WaitGroup
		for range 8 {
			starters.Go(func() { l.Go(context.Background(), func(ctx context.Context) { <-ctx.Done() }) })
		}
		l.End(errEnded)
		starters.Wait()
		l.Wait(time.Minute)
	}
}

func TestAPanicIsReportedWithItsStackAndWithoutItsValue(t *testing.T) {
	reported := make(chan error, 1)
	l := life.New(func(err error) { reported <- err })
	l.Go(t.Context(), func(context.Context) { panicWithASecret() })
	err := <-reported
	l.End(errEnded)
	l.Wait(time.Minute)

	var panicked *life.PanicError
	if !errors.As(err, &panicked) || panicked.Value != "secret" {
		t.Fatalf("got %#v, want a *PanicError with the value", err)
	}
	if text := fmt.Sprintf("%+v", err); !strings.Contains(text, "panicWithASecret") || strings.Contains(text, "secret\n") {
		t.Errorf("%%+v prints %s", text)
	}
	for _, verb := range []string{"%v", "%s"} {
		if text := fmt.Sprintf(verb, err); text != err.Error() || strings.Contains(text, "secret") {
			t.Errorf("%s prints %q", verb, text)
		}
	}
}

func panicWithASecret() { panic("secret") }

func TestWaitSeesAGoroutineThatCalledGoexit(t *testing.T) {
	l := life.New(none)
	l.Go(t.Context(), func(context.Context) { runtime.Goexit() })
	l.End(errEnded)
	if !l.Wait(time.Minute) {
		t.Error("Wait did not see the goroutine end")
	}
}
