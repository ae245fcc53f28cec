package ratelimit_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/ratelimit"
)

// speaker returns the id of a request, in a header that an authenticating proxy has set.
func speaker(r *http.Request) (string, error) {
	if r.Header.Get("X-Broken") != "" {
		return "", errors.New("secret detail")
	}
	return r.Header.Get("X-Speaker"), nil
}

func serve(t testing.TB, l *ratelimit.Limiter, cfg ratelimit.MiddlewareConfig) func(headers ...string) *http.Response {
	t.Helper()
	if cfg.Key == nil {
		cfg.Key = speaker
	}
	limit, err := ratelimit.Middleware(l, cfg)
	if err != nil {
		t.Fatal(err)
	}
	handler := limit(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	return func(headers ...string) *http.Response {
		w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		handler.ServeHTTP(w, r)
		return w.Result()
	}
}

func expectFields(t *testing.T, res *http.Response, status int, fields map[string]string) {
	t.Helper()
	if res.StatusCode != status {
		t.Errorf("status %d, want %d", res.StatusCode, status)
	}
	for name, want := range fields {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestResponsesCarryTheFieldsOfTheDraft(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		l := newLimiter(t, s, ratelimit.PerMinute(2).Named(`"default"\1`), ratelimit.PerHour(100), ratelimit.FixedWindow(50, 1500*time.Millisecond))
		get := serve(t, l, ratelimit.MiddlewareConfig{})
		policy := `"\"default\"\\1";q=2;w=60, "100 per 1h";q=100;w=3600, "50 per 1.5s";q=50`
		expectFields(t, get("X-Speaker", "1"), 204, map[string]string{
			"RateLimit-Policy": policy, "RateLimit": `"\"default\"\\1";r=1;t=60`, "Retry-After": "",
		})
		time.Sleep(1500 * time.Millisecond)
		expectFields(t, get("X-Speaker", "1"), 204, map[string]string{"RateLimit": `"\"default\"\\1";r=0;t=59`})
		res := get("X-Speaker", "1")
		expectFields(t, res, 429, map[string]string{
			"RateLimit-Policy": policy, "RateLimit": `"\"default\"\\1";r=0;t=59`, "Retry-After": "59",
			"Content-Type": "application/problem+json",
		})
		var body map[string]any
		if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
			t.Fatal(err)
		}
		if body["type"] != "https://iana.org/assignments/http-problem-types#quota-exceeded" || body["status"] != 429.0 {
			t.Errorf("body %v", body)
		}
		if names, _ := body["violated-policies"].([]any); len(names) != 1 || names[0] != `"default"\1` {
			t.Errorf("body %v", body)
		}
		time.Sleep(59 * time.Second) // as Retry-After says
		expectFields(t, get("X-Speaker", "1"), 204, nil)
		expectFields(t, get("X-Speaker", "2"), 204, nil)
	})
}

func TestTheFieldsOfGCRADescribeItsBucket(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		get := serve(t, newLimiter(t, s, ratelimit.GCRA(10, time.Second, 20)), ratelimit.MiddlewareConfig{})
		expectFields(t, get("X-Speaker", "1"), 204, map[string]string{
			"RateLimit-Policy": `"10 per 1s burst 20";q=20;w=2`, "RateLimit": `"10 per 1s burst 20";r=19;t=1`,
		})
	})
}

func TestARequestWithoutAKeyNeverPasses(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		l := newLimiter(t, s, ratelimit.PerMinute(2))
		get := serve(t, l, ratelimit.MiddlewareConfig{})
		for _, headers := range [][]string{nil, {"X-Broken", "1"}} {
			res := get(headers...)
			expectFields(t, res, 400, map[string]string{"RateLimit": "", "Content-Type": "application/problem+json"})
			body := make([]byte, 1000)
			n, _ := res.Body.Read(body)
			if strings.Contains(string(body[:n]), "secret") {
				t.Errorf("the body has the text of the error: %s", body[:n])
			}
		}
		var errs []error
		get = serve(t, l, ratelimit.MiddlewareConfig{Failed: func(w http.ResponseWriter, _ *http.Request, err error) {
			errs = append(errs, err)
			w.WriteHeader(http.StatusTeapot)
		}})
		expectFields(t, get("X-Broken", "1"), 418, nil)
		expectFields(t, get(), 418, nil)
		if len(errs) != 2 || !errors.Is(errs[0], ratelimit.ErrKey) || !errors.Is(errs[1], ratelimit.ErrEmptyID) {
			t.Errorf("Failed received %v", errs)
		}
	})
}

// A header that a client sets, such as X-Forwarded-For, has no effect unless Key reads it.
func TestASpoofedXForwardedForDoesNotChangeTheKey(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		get := serve(t, newLimiter(t, s, ratelimit.PerHour(2)), ratelimit.MiddlewareConfig{})
		for i, want := range []int{204, 204, 429, 429} {
			spoofed := strings.Repeat("1", i+1) + ".2.3.4"
			expectFields(t, get("X-Speaker", "1", "X-Forwarded-For", spoofed, "X-Real-IP", spoofed, "Forwarded", "for="+spoofed), want, nil)
		}
	})
}

func TestARequestIsChargedItsCost(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		cost := 0
		get := serve(t, newLimiter(t, s, ratelimit.PerHour(10)), ratelimit.MiddlewareConfig{Cost: func(*http.Request) int { return cost }})
		for _, c := range []struct{ cost, status int }{{4, 204}, {7, 429}, {6, 204}, {1, 429}, {11, 400}, {0, 500}} {
			cost = c.cost
			expectFields(t, get("X-Speaker", "1"), c.status, nil)
		}
	})
}

func TestADegradedResponseCarriesNoRateLimitField(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		down := s.Hooked(func(func() error, ...string) error { return errors.New("down") })
		for when, want := range map[ratelimit.WhenDown][]int{
			ratelimit.FailOpen: {204, 204}, ratelimit.FailClosed: {503, 503}, ratelimit.Local: {204, 429},
		} {
			get := serve(t, newLimiterOn(t, s, down, ratelimit.Config{WhenDown: when}, ratelimit.PerHour(1)), ratelimit.MiddlewareConfig{})
			for _, status := range want {
				res := get("X-Speaker", "1")
				expectFields(t, res, status, map[string]string{"RateLimit": "", "RateLimit-Policy": `"1 per 1h";q=1;w=3600`})
				if (res.Header.Get("Retry-After") == "") != (status == 204) {
					t.Errorf("%v: Retry-After %q with status %d", when, res.Header.Get("Retry-After"), status)
				}
			}
		}
	})
}

func TestDeniedMayWriteTheResponse(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		get := serve(t, newLimiter(t, s, ratelimit.PerHour(1)), ratelimit.MiddlewareConfig{
			Denied: func(w http.ResponseWriter, _ *http.Request, res ratelimit.Result) {
				if res.Allowed || res.RetryAfter <= 0 || w.Header().Get("Retry-After") == "" {
					t.Errorf("got %+v with %v", res, w.Header())
				}
				w.WriteHeader(http.StatusTeapot)
			},
		})
		expectFields(t, get("X-Speaker", "1"), 204, nil)
		expectFields(t, get("X-Speaker", "1"), 418, nil)
	})
}

func TestMiddlewareReturnsAnErrorForAMissingSetting(t *testing.T) {
	t.Parallel()
	if _, err := ratelimit.Middleware(nil, ratelimit.MiddlewareConfig{Key: speaker}); err == nil {
		t.Error("no error without a limiter")
	}
	if _, err := ratelimit.Middleware(&ratelimit.Limiter{}, ratelimit.MiddlewareConfig{}); err == nil || !strings.Contains(err.Error(), "MiddlewareConfig.Key") {
		t.Errorf("got %v", err)
	}
}
