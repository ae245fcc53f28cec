package ratelimit_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/ratelimit"
)

func ExampleLimiter_Allow() {
	ctx := context.Background()
	rdb, stop := server()
	defer stop()

	limiter, err := ratelimit.New(rdb, ratelimit.Config{Key: "rate_limit:*"}, ratelimit.PerMinute(3))
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 4 {
		res, err := limiter.Allow(ctx, "user_1")
		if err != nil {
			fmt.Println(err)
			return
		}
		if !res.Allowed {
			fmt.Println("denied; try again within a minute:", res.RetryAfter <= time.Minute)
			continue
		}
		fmt.Println("allowed;", res.Remaining, "of", res.Limit, "remain")
	}
	fmt.Println(rdb.Get(ctx, "rate_limit:user_1").Val()) // denials are not charged
	// Output:
	// allowed; 2 of 3 remain
	// allowed; 1 of 3 remain
	// allowed; 0 of 3 remain
	// denied; try again within a minute: true
	// 3
}

// A request passes if every policy allows it, and is charged to all or none.
func ExampleNew_severalPolicies() {
	ctx := context.Background()
	rdb, stop := server()
	defer stop()

	limiter, err := ratelimit.New(rdb, ratelimit.Config{Key: "rate_limit:*"},
		ratelimit.SlidingWindow(2, time.Minute).Named("burst"),
		ratelimit.FixedWindow(5, 24*time.Hour).Named("daily"),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		res, err := limiter.Allow(ctx, "user_1")
		fmt.Println(res.Allowed, res.Policy, res.Remaining, err)
	}
	res, err := limiter.AllowN(ctx, "user_2", 3) // costs more than burst ever allows
	fmt.Println(res.Allowed, err)
	// Output:
	// true burst 1 <nil>
	// true burst 0 <nil>
	// false burst 0 <nil>
	// false ratelimit: allow rate_limit:*: n exceeds the limit, so waiting never helps
}

func ExampleMiddleware() {
	rdb, stop := server()
	defer stop()

	limiter, err := ratelimit.New(rdb, ratelimit.Config{Key: "rate_limit:*"}, ratelimit.PerMinute(1).Named("default"))
	if err != nil {
		fmt.Println(err)
		return
	}
	limit, err := ratelimit.Middleware(limiter, ratelimit.MiddlewareConfig{
		Key: func(r *http.Request) (string, error) { return r.Header.Get("X-Speaker-ID"), nil },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := limit(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "olá")
	}))
	for range 2 {
		w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
		r.Header.Set("X-Speaker-ID", "user_1")
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header().Get("RateLimit-Policy"), w.Header().Get("RateLimit"))
		fmt.Println(w.Body)
	}
	// Output:
	// 200 "default";q=1;w=60 "default";r=0;t=60
	// olá
	// 429 "default";q=1;w=60 "default";r=0;t=60
	// {"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Quota Exceeded","status":429,"violated-policies":["default"]}
}

// server starts an embedded Redis. A service calls rediskit.Connect instead.
func server() (*redis.Client, func()) {
	mini := miniredis.NewMiniRedis()
	if err := mini.Start(); err != nil {
		panic(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: mini.Addr()})
	return rdb, func() {
		rdb.Close()
		mini.Close()
	}
}
