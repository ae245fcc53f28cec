package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/convkit/rediskit/examples/internal/backend"
	"github.com/convkit/rediskit/examples/internal/manager"
	"github.com/convkit/rediskit/examples/internal/updates"
	"github.com/convkit/rediskit/examples/internal/web"
	"github.com/convkit/rediskit/ratelimit"
)

// limits are the policies for the messages of one speaker. The first counts under
// rate_limit:<speaker>, together with services in other languages. The second stops a
// speaker from using up the first at once.
var limits = []ratelimit.Policy{
	ratelimit.PerMinute(100),
	ratelimit.SlidingWindow(20, 10*time.Second),
}

// limitsConfig lets each gateway count for itself while Redis is down. The Conversation
// Manager then refuses messages, but it still answers lists.
var limitsConfig = ratelimit.Config{
	Key:       "rate_limit:*",
	WhenDown:  ratelimit.Local,
	DenyCache: 1024,
	OnError:   backend.Log,
}

// limited returns a handler that passes requests of the speaker in the path on to next,
// within the limits, and refuses the others.
func (s *Service) limited(next http.Handler) (http.Handler, error) {
	var err error
	if s.limiter, err = ratelimit.New(s.rdb, limitsConfig, limits...); err != nil {
		return nil, err
	}
	limit, err := ratelimit.Middleware(s.limiter, ratelimit.MiddlewareConfig{
		Key:    func(r *http.Request) (string, error) { return r.PathValue("id"), nil },
		Denied: s.denied,
		Failed: undecided,
	})
	if err != nil {
		return nil, err
	}
	return limit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.tally.allow(r.PathValue("id"))
		next.ServeHTTP(w, r)
	})), nil
}

// message handles a message of a speaker.
func (s *Service) message(w http.ResponseWriter, r *http.Request) error {
	for _, name := range []string{"id", "conversation"} {
		if _, err := web.PathID(r, name); err != nil {
			return err
		}
	}
	s.talk.ServeHTTP(w, r)
	return nil
}

// denied refuses a message and publishes that, so that every Dashboard shows it.
func (s *Service) denied(w http.ResponseWriter, r *http.Request, res ratelimit.Result) {
	speaker := r.PathValue("id")
	if s.tally.deny(speaker, time.Now()) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), time.Second)
		defer cancel()
		s.publisher.Publish(ctx, updates.RequestDenied, r.PathValue("conversation"), updates.Data{
			SpeakerID: speaker, RetryAfter: res.RetryAfter.Milliseconds(),
		})
	}
	answer(w, r, web.Refuse(http.StatusTooManyRequests, "too many messages: at most %s; wait as long as Retry-After says", res.Policy))
}

// undecided refuses a message about which the limiter could not decide.
func undecided(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, ratelimit.ErrKey) {
		answer(w, r, web.Refuse(http.StatusBadRequest, "the path names no speaker"))
		return
	}
	slog.ErrorContext(r.Context(), "a message was neither allowed nor denied", "err", err)
	answer(w, r, web.Refuse(http.StatusServiceUnavailable, "the message could not be taken; try again later"))
}

func answer(w http.ResponseWriter, r *http.Request, err error) {
	web.Handler(func(http.ResponseWriter, *http.Request) error { return err }).ServeHTTP(w, r)
}

// pass forwards a message to the manager, under the manager's own path.
func (s *Service) pass(w http.ResponseWriter, r *http.Request) {
	conversation := r.PathValue("conversation")
	out := r.Clone(r.Context())
	out.Header.Set(manager.SpeakerHeader, r.PathValue("id"))
	out.URL = &url.URL{
		Path:    "/conversations/" + conversation + "/messages",
		RawPath: "/conversations/" + url.PathEscape(conversation) + "/messages",
	}
	s.proxy.ServeHTTP(w, out)
}

// forward forwards a request to the manager unchanged.
func (s *Service) forward(w http.ResponseWriter, r *http.Request) error {
	s.proxy.ServeHTTP(w, r)
	return nil
}

func (s *Service) newProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport: s.transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(s.manager) },
		ErrorLog:  slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			var tooLarge *http.MaxBytesError
			if errors.As(err, &tooLarge) {
				answer(w, r, tooLarge)
				return
			}
			if r.Context().Err() == nil {
				slog.ErrorContext(r.Context(), "the Conversation Manager did not answer", "err", err)
			}
			answer(w, r, web.Refuse(http.StatusBadGateway, "the Conversation Manager does not answer"))
		},
	}
}
