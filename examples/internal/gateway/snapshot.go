package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/examples/internal/web"
)

const (
	collectTimeout = 2 * time.Second // for a whole snapshot
	maxAnswerBytes = 1 << 20         // of the manager's answers
)

// A snapshot is everything that a Dashboard shows, apart from later events.
type snapshot struct {
	At       int64           `json:"at"`       // Unix milliseconds
	Sessions json.RawMessage `json:"sessions"` // the manager's answer to /sessions, or null without one
	Stats    json.RawMessage `json:"stats"`    // the manager's answer to /stats, or null without one
	Speakers []speaker       `json:"speakers"` // counts of this gateway
	Limits   []string        `json:"limits"`
	Redis    bool            `json:"redis"` // whether Redis answers
}

// snapshots lets concurrent requests share one snapshot.
type snapshots struct {
	making  chan struct{} // a lock: held by the request that makes a snapshot or reads the last one
	waiting atomic.Int64  // requests that are not answered yet
	began   time.Time     // when the last snapshot was begun
	last    snapshot
}

// snapshot answers with a snapshot that was begun after the request arrived, because a
// page that has missed an event needs a later snapshot. Requests that arrive while one
// is made wait for the next, and share it.
func (s *Service) snapshot(w http.ResponseWriter, r *http.Request) error {
	arrived := time.Now()
	s.snapshots.waiting.Add(1)
	defer s.snapshots.waiting.Add(-1)
	select {
	case s.snapshots.making <- struct{}{}:
		defer func() { <-s.snapshots.making }()
	case <-r.Context().Done():
		return r.Context().Err()
	}
	if !s.snapshots.began.After(arrived) {
		s.snapshots.began = time.Now()
		s.snapshots.last = s.collect(context.WithoutCancel(r.Context()))
	}
	w.Header().Set("Cache-Control", "no-store")
	return web.WriteJSON(w, http.StatusOK, s.snapshots.last)
}

// collect makes a snapshot. It asks the manager and Redis at the same time.
func (s *Service) collect(ctx context.Context) snapshot {
	ctx, cancel := context.WithTimeout(ctx, collectTimeout)
	defer cancel()
	got := snapshot{
		At:       time.Now().UnixMilli(),
		Speakers: s.tally.top(),
	}
	for _, policy := range limits {
		got.Limits = append(got.Limits, policy.String())
	}
	var all sync.WaitGroup
	all.Go(func() { got.Sessions, _ = s.ask(ctx, "sessions") })
	all.Go(func() { got.Stats, _ = s.ask(ctx, "stats") })
	all.Go(func() {
		_, err := rediskit.Check(ctx, s.rdb)
		got.Redis = err == nil
	})
	all.Wait()
	return got
}

var errNoAnswer = errors.New("the Conversation Manager has no answer")

// ask returns the manager's answer to GET path.
func (s *Service) ask(ctx context.Context, path string) (json.RawMessage, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.manager.JoinPath(path).String(), nil)
	if err != nil {
		return nil, err
	}
	res, err := (&http.Client{Transport: s.transport}).Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswerBytes))
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK || !json.Valid(body) {
		return nil, errNoAnswer
	}
	return body, nil
}

// health answers with the health of Redis and of the manager. Without the manager the
// gateway can do nothing, so the status is 503. Without Redis lists are still answered.
func (s *Service) health(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), collectTimeout)
	defer cancel()
	status := http.StatusOK
	var report struct {
		Status  string                `json:"status"` // "ok", "degraded" or "down"
		Redis   string                `json:"redis"`
		Manager string                `json:"manager"`
		Nodes   []rediskit.NodeHealth `json:"redis_nodes,omitempty"`
	}
	report.Status, report.Redis, report.Manager = "ok", "ok", "ok"
	health, err := rediskit.Check(ctx, s.rdb)
	if err != nil {
		report.Status, report.Redis = "degraded", err.Error()
	}
	if _, err := s.ask(ctx, "healthz"); err != nil {
		status = http.StatusServiceUnavailable
		report.Status, report.Manager = "down", errNoAnswer.Error()
	}
	report.Nodes = health.Nodes
	return web.WriteJSON(w, status, report)
}
