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

// stats answers with the counts of the cache since the start of the process.
func (s *Service) stats(w http.ResponseWriter, r *http.Request) error {
	c := s.lists.Stats()
	return web.WriteJSON(w, http.StatusOK, struct {
		Hits                uint64  `json:"hits"`
		Misses              uint64  `json:"misses"`
		HitRate             float64 `json:"hit_rate"` // between 0 and 1
		Loads               uint64  `json:"loads"`
		LoadFailures        uint64  `json:"load_failures"`
		Shared              uint64  `json:"shared"` // misses that joined the load of another request
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

// A latency counts reads and the time that they took. The two are not updated together,
// which is exact enough for a chart.
type latency struct{ count, micros atomic.Uint64 }

func (l *latency) add(d time.Duration) {
	l.count.Add(1)
	l.micros.Add(uint64(d.Microseconds()))
}

// reads is a latency in JSON. The mean over a span of time is the increase of micros
// divided by the increase of count.
type reads struct {
	Count  uint64 `json:"count"`
	Micros uint64 `json:"micros"` // microseconds of all reads together
}

func (l *latency) reads() reads { return reads{l.count.Load(), l.micros.Load()} }

// HitRate returns the share of reads that Redis answered, or 0 before the first read.
func HitRate(c cache.Stats) float64 {
	return float64(c.Hits) / float64(max(c.Hits+c.Misses, 1))
}

// health answers with the health of Redis and of the database. The status is 200 as long
// as the service can answer requests, which it can without Redis at the speed of the
// database. If a missing Redis failed this probe, the platform would end services that
// work, and so turn a missing cache into an outage.
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
