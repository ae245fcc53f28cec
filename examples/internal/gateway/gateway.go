// Package gateway is the Core Gateway. It limits how often each speaker may send
// messages to the Conversation Manager behind it, and shows all events to browsers.
package gateway

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/examples/internal/backend"
	"github.com/convkit/rediskit/examples/internal/updates"
	"github.com/convkit/rediskit/examples/internal/web"
	"github.com/convkit/rediskit/metrics"
	"github.com/convkit/rediskit/pubsub"
	"github.com/convkit/rediskit/ratelimit"
)

// listenTimeout is how long Open waits for Redis to confirm a subscription.
const listenTimeout = 15 * time.Second

// An envelope is the part that all updates have. The gateway passes the rest on to the
// page unread.
type envelope struct {
	ConversationID string `json:"conversation_id"`
	Event          string `json:"event"`
}

// A Service answers the HTTP requests of speakers and of dashboards.
type Service struct {
	rdb       redis.UniversalClient
	manager   *url.URL
	transport *http.Transport
	proxy     *httputil.ReverseProxy
	talk      http.Handler // handles a message within the limits, and refuses others
	tally     tally
	publisher *updates.Publisher
	hub       *pubsub.Hub[envelope]
	streams   *streams
	limiter   *ratelimit.Limiter
	metrics   web.Route
	snapshots snapshots
}

// Open returns the service in front of the Conversation Manager at the URL manager. The
// caller closes rdb.
func Open(ctx context.Context, rdb redis.UniversalClient, manager string) (*Service, error) {
	return open(ctx, rdb, manager, defaultStreamConfig)
}

func open(ctx context.Context, rdb redis.UniversalClient, manager string, cfg streamConfig) (*Service, error) {
	base, err := url.Parse(manager)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, errors.New("the Conversation Manager's address must be a URL such as http://127.0.0.1:8081")
	}
	s := &Service{rdb: rdb, manager: base, streams: newStreams(cfg), snapshots: snapshots{making: make(chan struct{}, 1)}}
	s.transport = &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
		MaxIdleConnsPerHost:   32,
		IdleConnTimeout:       30 * time.Second,
		ResponseHeaderTimeout: 9 * time.Second, // longer than a message may take, shorter than web.Serve waits
	}
	s.proxy = s.newProxy()
	if s.talk, err = s.limited(http.HandlerFunc(s.pass)); err != nil {
		return nil, err
	}
	if s.publisher, err = updates.NewPublisher(rdb); err != nil {
		return nil, err
	}
	topic, err := pubsub.NewTopic[envelope](rdb, updates.Channel, pubsub.Config{Buffer: cfg.buffer, History: cfg.history, OnError: backend.Log})
	if err != nil {
		return nil, err
	}
	listenCtx, cancel := context.WithTimeout(ctx, listenTimeout)
	defer cancel()
	if s.hub, err = topic.Listen(listenCtx); err != nil {
		return nil, err
	}
	s.metrics, err = web.Metrics(s.limiter, s.publisher.Source(), s.hub, metrics.Pool("main", rdb))
	if err != nil {
		return nil, errors.Join(err, s.hub.Close())
	}
	return s, nil
}

// CloseStreams ends the event streams and the WebSockets: it refuses new ones, ends the hub,
// lets each browser read what was received for it, and closes its connection. A browser that
// has not read everything within streamConfig.closeTimeout is cut off. Call it before
// the HTTP server shuts down. It may be called more than once.
func (s *Service) CloseStreams() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.streams.cfg.closeTimeout)
	defer cancel()
	s.streams.refuse()
	err := s.hub.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // a browser was slow, which is no error of this service
	}
	s.streams.wait(ctx)
	return err
}

// Close calls CloseStreams, then closes the idle connections to the Conversation
// Manager. Call it after the HTTP server has shut down.
func (s *Service) Close() error {
	err := s.CloseStreams()
	s.transport.CloseIdleConnections()
	return err
}

// Handler returns the handler of the service's requests.
func (s *Service) Handler() http.Handler {
	get := func(path string, h web.Handler) web.Route {
		return web.Route{Method: http.MethodGet, Path: path, Handle: h}
	}
	routes := []web.Route{
		{Method: http.MethodPost, Path: "/speakers/{id}/conversations/{conversation}/messages", Handle: s.message},
		get("/speakers/{id}/conversations", s.forward),
		get("/conversations/{id}/session", s.forward),
		get("/stats", s.forward),
		get("/events", s.events),
		get("/ws", s.live),
		get("/api/snapshot", s.snapshot),
		get("/healthz", s.health),
		s.metrics,
	}
	return guard(web.Routes(append(routes, pageRoutes()...)...))
}
