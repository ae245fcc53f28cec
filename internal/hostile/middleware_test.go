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

	"github.com/convkit/rediskit/ratelimit"
)

// checkResponses sends requests through the middleware, with each WhenDown. Without a
// fault some are allowed, some denied and some refused. Their ids, URLs and errors have
// canaries, and no response may have one.
func (k *kit) checkResponses(t *testing.T, id string) {
	t.Helper()
	for _, down := range []ratelimit.WhenDown{ratelimit.FailOpen, ratelimit.FailClosed, ratelimit.Local} {
		l, err := ratelimit.New(k.rdb, ratelimit.Config{Key: k.prefix + ":windows:*", WhenDown: down, DenyCache: 10, OnError: k.onError.OnError}, ratelimit.PerMinute(10))
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
			a := k.respond(t, l, c.cost, c.id, c.keyErr)
			expectNoLeakIn(t, "a response", fmt.Sprint(a.Code, a.Header(), a.Body))
			if !slices.Contains(c.want, a.Code) {
				t.Errorf("cost %d, WhenDown %d: status %d, want one of %v", c.cost, down, a.Code, c.want)
			}
		}
	}
}

// respond returns the response of the middleware to a request that is charged to id.
func (k *kit) respond(t *testing.T, l *ratelimit.Limiter, cost int, id string, keyErr error) *httptest.ResponseRecorder {
	t.Helper()
	limited, err := ratelimit.Middleware(l, ratelimit.MiddlewareConfig{
		Key:  func(*http.Request) (string, error) { return id, keyErr },
		Cost: func(*http.Request) int { return cost },
	})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*shortWait)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/"+canary+"?q="+canary, strings.NewReader(canary))
	r.Header.Set("Authorization", canary)
	a := httptest.NewRecorder()
	limited(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})).ServeHTTP(a, r)
	return a
}
