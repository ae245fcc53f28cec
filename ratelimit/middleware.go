package ratelimit

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// MiddlewareConfig says how Middleware limits requests. Key has no default;
// every other field may stay zero.
type MiddlewareConfig struct {
	// Key returns the id that a request is charged to. Required. What it
	// trusts is its own business: an X-Forwarded-For that no proxy of yours
	// has written is whatever the client likes. An error, or an empty id,
	// goes to Failed and the request no further.
	Key func(*http.Request) (string, error)

	// Cost is what a request costs, at least 1. Defaults to 1 for each.
	Cost func(*http.Request) int

	// Denied answers a request that is not allowed. The fields RateLimit,
	// RateLimit-Policy and Retry-After are set already. Defaults to status
	// 429 with a problem of the type quota-exceeded, and to 503 where
	// FailClosed denied without Redis.
	Denied func(http.ResponseWriter, *http.Request, Result)

	// Failed answers a request for which no decision was made. The error is
	// ErrKey around what Key returned, or one of AllowN. Defaults to status
	// 400 for ErrKey and ErrExceedsLimit, 500 for ErrNotPositive, and 503;
	// the error's text is not sent.
	Failed func(http.ResponseWriter, *http.Request, error)
}

// Middleware returns a net/http middleware that lets the requests pass that l
// allows.
//
// Responses carry the fields RateLimit-Policy, with every policy, and
// RateLimit, with the one that binds, of the IETF's
// draft-ietf-httpapi-ratelimit-headers; a denial carries Retry-After as well,
// in whole seconds, rounded up. A Degraded response carries no RateLimit,
// because nobody knows. Middlewares may be nested; each adds its own.
func Middleware(l *Limiter, cfg MiddlewareConfig) (func(http.Handler) http.Handler, error) {
	if l == nil {
		return nil, errors.New("ratelimit: Middleware needs a limiter; make it with New")
	}
	if cfg.Key == nil {
		return nil, errors.New("ratelimit: MiddlewareConfig.Key is nil; give a function that says whom a request is charged to")
	}
	if cfg.Cost == nil {
		cfg.Cost = func(*http.Request) int { return 1 }
	}
	if cfg.Denied == nil {
		cfg.Denied = l.denied
	}
	if cfg.Failed == nil {
		cfg.Failed = failed
	}
	policies := policyField(l.policies)

	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, err := cfg.Key(r)
			if err == nil && id == "" {
				err = ErrEmptyID
			}
			if err != nil {
				cfg.Failed(w, r, fmt.Errorf("%w: %w", ErrKey, err))
				return
			}
			res, err := l.AllowN(r.Context(), id, cfg.Cost(r))
			if err != nil {
				cfg.Failed(w, r, err)
				return
			}
			w.Header().Add("RateLimit-Policy", policies)
			if !res.Degraded {
				w.Header().Add("RateLimit", limitField(res))
			}
			if !res.Allowed {
				w.Header().Set("Retry-After", wholeSeconds(res.RetryAfter))
				cfg.Denied(w, r, res)
				return
			}
			next.ServeHTTP(w, r)
		})
	}, nil
}

// A problem is the body of a refusal, by RFC 9457.
type problem struct {
	Type     string   `json:"type"`
	Title    string   `json:"title"`
	Status   int      `json:"status"`
	Violated []string `json:"violated-policies,omitempty"`
}

func (p problem) write(w http.ResponseWriter) {
	body, err := json.Marshal(p)
	if err != nil {
		body = nil // never: strings and a number
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body)
}

// plain is a problem that the status says all about.
func plain(status int) problem {
	return problem{Type: "about:blank", Title: http.StatusText(status), Status: status}
}

func (l *Limiter) denied(w http.ResponseWriter, _ *http.Request, res Result) {
	if res.Degraded && l.cfg.WhenDown == FailClosed {
		plain(http.StatusServiceUnavailable).write(w)
		return
	}
	problem{
		Type:     "https://iana.org/assignments/http-problem-types#quota-exceeded",
		Title:    "Quota Exceeded",
		Status:   http.StatusTooManyRequests,
		Violated: []string{res.Policy.String()},
	}.write(w)
}

func failed(w http.ResponseWriter, _ *http.Request, err error) {
	status := http.StatusServiceUnavailable
	switch {
	case errors.Is(err, ErrKey), errors.Is(err, ErrExceedsLimit):
		status = http.StatusBadRequest
	case errors.Is(err, ErrNotPositive):
		status = http.StatusInternalServerError
	}
	plain(status).write(w)
}
