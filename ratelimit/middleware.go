package ratelimit

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// MiddlewareConfig says how Middleware limits requests. Key has no default; every other
// field may stay zero.
type MiddlewareConfig struct {
	// Key returns the id that a request is charged to. Choose what it trusts: an
	// X-Forwarded-For that no proxy of yours has written is whatever the client likes.
	// A request for which it returns an error or an empty id is answered by Failed and
	// goes no further. Required.
	Key func(*http.Request) (string, error)

	// Cost returns what a request costs, at least 1. Defaults to 1 for each request.
	Cost func(*http.Request) int

	// Denied answers a request that is not allowed. The fields RateLimit,
	// RateLimit-Policy and Retry-After are set already. Defaults to status 429 with a
	// problem of the type quota-exceeded, and to 503 where FailClosed denied without
	// Redis.
	Denied func(http.ResponseWriter, *http.Request, Result)

	// Failed answers a request for which no decision was made. The error is ErrKey
	// around what Key returned, or one of AllowN. Defaults to status 400 for ErrKey and
	// ErrExceedsLimit, 500 for ErrNotPositive, and 503 for other errors. The error's
	// text is not sent.
	Failed func(http.ResponseWriter, *http.Request, error)
}

// complete checks c and fills in its defaults, for a middleware over l.
func (c MiddlewareConfig) complete(l *Limiter) (MiddlewareConfig, error) {
	if c.Key == nil {
		return c, errors.New("ratelimit: MiddlewareConfig.Key is nil; it must be a function that returns the id that a request is charged to")
	}
	if c.Cost == nil {
		c.Cost = func(*http.Request) int { return 1 }
	}
	if c.Denied == nil {
		c.Denied = l.answerDenied
	}
	if c.Failed == nil {
		c.Failed = answerFailed
	}
	return c, nil
}

// Middleware returns a net/http middleware that lets the requests pass that l allows.
//
// Responses carry two fields of the IETF's draft-ietf-httpapi-ratelimit-headers:
// RateLimit-Policy, with every policy, and RateLimit, with the one that binds. A denial
// also carries Retry-After, in whole seconds, rounded up. A Degraded response carries no
// RateLimit, because nobody knows its numbers. Middlewares may be nested; each adds its
// own fields.
func Middleware(l *Limiter, cfg MiddlewareConfig) (func(http.Handler) http.Handler, error) {
	if l == nil {
		return nil, errors.New("ratelimit: Middleware needs a limiter; make it with New")
	}
	cfg, err := cfg.complete(l)
	if err != nil {
		return nil, err
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

// A problem is the body of a refusal, in the format of RFC 9457.
type problem struct {
	Type     string   `json:"type"`
	Title    string   `json:"title"`
	Status   int      `json:"status"`
	Violated []string `json:"violated-policies,omitempty"`
}

func (p problem) write(w http.ResponseWriter) {
	body, err := json.Marshal(p)
	if err != nil {
		body = nil // cannot happen: strings and a number always encode
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body)
}

// plainProblem returns a problem that says no more than its status.
func plainProblem(status int) problem {
	return problem{Type: "about:blank", Title: http.StatusText(status), Status: status}
}

// answerDenied is the default of MiddlewareConfig.Denied.
func (l *Limiter) answerDenied(w http.ResponseWriter, _ *http.Request, res Result) {
	if res.Degraded && l.cfg.WhenDown == FailClosed {
		plainProblem(http.StatusServiceUnavailable).write(w)
		return
	}
	problem{
		Type:     "https://iana.org/assignments/http-problem-types#quota-exceeded",
		Title:    "Quota Exceeded",
		Status:   http.StatusTooManyRequests,
		Violated: []string{res.Policy.String()},
	}.write(w)
}

// answerFailed is the default of MiddlewareConfig.Failed.
func answerFailed(w http.ResponseWriter, _ *http.Request, err error) {
	status := http.StatusServiceUnavailable
	switch {
	case errors.Is(err, ErrKey), errors.Is(err, ErrExceedsLimit):
		status = http.StatusBadRequest
	case errors.Is(err, ErrNotPositive):
		status = http.StatusInternalServerError
	}
	plainProblem(status).write(w)
}
