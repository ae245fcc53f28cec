package life

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestSleepEndsWithItsTimeOrItsContext(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]time.Duration{"time": time.Hour, "context": time.Second} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), end)
			defer cancel()
			start := time.Now()
			passed := Sleep(ctx, time.Minute)
			if want := min(end, time.Minute); passed != (end > time.Minute) || time.Since(start) != want {
				t.Errorf("%s: %v after %v", name, passed, time.Since(start))
			}
		})
	}
}
