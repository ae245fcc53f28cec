package manager

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/examples/internal/web"
)

// stats answers with what the cache has counted since the start.
func (s *Service) stats(w http.ResponseWriter, r *http.Request) error {
	c := s.lists.Stats()
	return web.WriteJSON(w, http.StatusOK, struct {
		Hits                uint64  `json:"hits"`
		Misses              uint64  `json:"misses"`
		HitRate             float64 `json:"hit_rate"` // of 1
		Loads               uint64  `json:"loads"`
		LoadFailures        uint64  `json:"load_failures"`
		Shared              uint64  `json:"shared"` // misses that joined another's load
		NegativeHits        uint64  `json:"negative_hits"`
		RefusedFills        uint64  `json:"refused_fills"`
		RedisErrors         uint64  `json:"redis_errors"`
		FailedInvalidations uint64  `json:"failed_invalidations"`
		HitReads            reads   `json:"hit_reads"`
		MissReads           reads   `json:"miss_reads"`
	}{
		c.Hits, c.Misses, HitRate(c), c.Loads, c.LoadFailures, c.Shared, c.NegativeHits,
		c.RefusedFills, c.RedisErrors, s.failedInvalidations.Load(), s.hitReads.reads(), s.missReads.reads(),
	})
}

// A latency counts reads and how long they took. The two are added one after
// the other, which is exact enough for a chart.
type latency struct{ count, micros atomic.Uint64 }

func (l *latency) add(d time.Duration) {
	l.count.Add(1)
	l.micros.Add(uint64(d.Microseconds()))
}

// reads is a latency in JSON: the mean over a span of time is the difference of
// micros at its ends by that of count.
type reads struct {
	Count  uint64 `json:"count"`
	Micros uint64 `json:"micros"` // of all together
}

func (l *latency) reads() reads { return reads{l.count.Load(), l.micros.Load()} }

// HitRate is the part of the reads that Redis answered, or 0 before the first.
func HitRate(c cache.Stats) float64 {
	return float64(c.Hits) / float64(max(c.Hits+c.Misses, 1))
}

// health answers with how Redis and the database are: 200 as long as the
// service can do its work, which it can without Redis, at the database's
// speed. A probe that took a missing cache for a dead service would make an
// outage of it.
func (s *Service) health(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()

	status := http.StatusOK
	var report struct {
		Status   string                `json:"status"` // "ok", "degraded" or "down"
		Database string                `json:"database"`
		Redis    string                `json:"redis"`
		Nodes    []rediskit.NodeHealth `json:"redis_nodes,omitempty"`
	}
	report.Status, report.Database, report.Redis = "ok", "ok", "ok"
	health, err := rediskit.Check(ctx, s.rdb)
	if err != nil {
		report.Status, report.Redis = "degraded", err.Error()
	}
	if err := s.db.Ping(ctx); err != nil {
		status = http.StatusServiceUnavailable
		report.Status, report.Database = "down", err.Error()
	}
	report.Nodes = health.Nodes
	return web.WriteJSON(w, status, report)
}
