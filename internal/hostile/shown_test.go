package hostile

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/convkit/rediskit/metrics"
	"github.com/convkit/rediskit/ratelimit"
)

// scraped is what Prometheus gets of the kit.
func (k *kit) scraped(t *testing.T) string {
	t.Helper()
	sources := []metrics.Source{k.sessions, k.locks, k.topic, metrics.Pool("main", k.rdb)}
	for _, c := range k.caches {
		sources = append(sources, c)
	}
	for _, l := range k.limiters {
		sources = append(sources, l)
	}
	return scrape(t, sources...)
}

func scrape(t *testing.T, sources ...metrics.Source) string {
	t.Helper()
	collector, err := metrics.NewCollector(sources...)
	must(t, err)
	registry := prometheus.NewPedanticRegistry()
	must(t, registry.Register(collector))
	families, err := registry.Gather()
	must(t, err)
	text := fmt.Sprint(families)
	if !strings.Contains(text, "rediskit_") {
		t.Errorf("scraped: %s", text)
	}
	return text
}

// answersTellNothing sends requests through the middleware, by each WhenDown:
// some that are allowed, denied and refused when nothing is wrong, whose ids,
// URLs and errors have canaries.
func (k *kit) answersTellNothing(t *testing.T, id string) {
	t.Helper()
	for _, down := range []ratelimit.WhenDown{ratelimit.FailOpen, ratelimit.FailClosed, ratelimit.Local} {
		l, err := ratelimit.New(k.rdb, ratelimit.Config{Key: k.prefix + ":windows:*", WhenDown: down, DenyCache: 10, OnError: k.told.OnError}, ratelimit.PerMinute(10))
		must(t, err)
		for _, c := range []struct {
			cost   int
			id     string
			keyErr error
			want   []int
		}{
			{cost: 10, id: id, want: []int{http.StatusNoContent, http.StatusTooManyRequests, http.StatusServiceUnavailable}},
			{cost: 10, id: id, want: []int{http.StatusNoContent, http.StatusTooManyRequests, http.StatusServiceUnavailable}},
			{cost: 11, id: id, want: []int{http.StatusBadRequest}},
			{cost: 0, id: id, want: []int{http.StatusInternalServerError}},
			{cost: 1, keyErr: errors.New(canary), want: []int{http.StatusBadRequest}},
			{cost: 1, id: "", want: []int{http.StatusBadRequest}},
		} {
			a := k.answer(t, l, c.cost, c.id, c.keyErr)
			textTellsNothing(t, "an answer", fmt.Sprint(a.Code, a.Header(), a.Body))
			if !slices.Contains(c.want, a.Code) {
				t.Errorf("cost %d, WhenDown %d: status %d, want one of %v", c.cost, down, a.Code, c.want)
			}
		}
	}
}

// answer is what the middleware makes of a request that is charged to id.
func (k *kit) answer(t *testing.T, l *ratelimit.Limiter, cost int, id string, keyErr error) *httptest.ResponseRecorder {
	t.Helper()
	limited, err := ratelimit.Middleware(l, ratelimit.MiddlewareConfig{
		Key:  func(*http.Request) (string, error) { return id, keyErr },
		Cost: func(*http.Request) int { return cost },
	})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*brief)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/"+canary+"?q="+canary, strings.NewReader(canary))
	r.Header.Set("Authorization", canary)
	a := httptest.NewRecorder()
	limited(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})).ServeHTTP(a, r)
	return a
}
