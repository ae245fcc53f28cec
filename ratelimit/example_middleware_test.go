package ratelimit_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/convkit/rediskit/ratelimit"
)

func ExampleMiddleware() {
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	limiter, err := ratelimit.New(rdb, ratelimit.Config{Key: "rate_limit:*"}, ratelimit.PerMinute(1).Named("default"))
	if err != nil {
		panic(err)
	}
	limit, err := ratelimit.Middleware(limiter, ratelimit.MiddlewareConfig{
		Key: func(r *http.Request) (string, error) { return r.Header.Get("X-Speaker-ID"), nil },
	})
	if err != nil {
		panic(err)
	}
	handler := limit(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "olá")
	}))

	for range 2 {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("X-Speaker-ID", "user_1")
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body)
		fmt.Println(w.Header().Get("RateLimit-Policy"), w.Header().Get("RateLimit"))
	}
	// Output:
	// 200 olá
	// "default";q=1;w=60 "default";r=0;t=60
	// 429 {"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Quota Exceeded","status":429,"violated-policies":["default"]}
	// "default";q=1;w=60 "default";r=0;t=60
}

// Requests may cost more than one, and a service may answer denials in its own way.
func ExampleMiddlewareConfig() {
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	limiter, err := ratelimit.New(rdb, ratelimit.Config{Key: "rate_limit:*"}, ratelimit.PerMinute(10))
	if err != nil {
		panic(err)
	}
	limit, err := ratelimit.Middleware(limiter, ratelimit.MiddlewareConfig{
		Key: func(r *http.Request) (string, error) { return r.Header.Get("X-Speaker-ID"), nil },
		Cost: func(r *http.Request) int {
			if r.Method == http.MethodPost {
				return 8
			}
			return 1
		},
		Denied: func(w http.ResponseWriter, _ *http.Request, res ratelimit.Result) {
			http.Error(w, fmt.Sprint("too many requests; try again in ", res.RetryAfter), http.StatusTooManyRequests)
		},
	})
	if err != nil {
		panic(err)
	}
	handler := limit(http.NotFoundHandler())

	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodPost} {
		w, r := httptest.NewRecorder(), httptest.NewRequest(method, "/", nil)
		r.Header.Set("X-Speaker-ID", "user_1")
		handler.ServeHTTP(w, r)
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 404 404 page not found
	// 404 404 page not found
	// 429 too many requests; try again in 1m0s
}
