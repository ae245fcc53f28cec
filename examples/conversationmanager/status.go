package main

import (
	"context"
	"net/http"
	"time"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/cache"
)

// stats answers with what the cache has counted since the start.
func (s *server) stats(w http.ResponseWriter, r *http.Request) error {
	c := s.lists.Stats()
	return writeJSON(w, http.StatusOK, struct {
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
	}{
		c.Hits, c.Misses, hitRate(c), c.Loads, c.LoadFailures, c.Shared, c.NegativeHits,
		c.RefusedFills, c.RedisErrors, s.failedInvalidations.Load(),
	})
}

// hitRate is the part of the reads that Redis answered, or 0 before the first.
func hitRate(c cache.Stats) float64 {
	return float64(c.Hits) / float64(max(c.Hits+c.Misses, 1))
}

// health answers 200 if Redis and the database are well, else 503 with what
// is wrong. The service answers even without Redis, at the database's speed.
func (s *server) health(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()

	status := http.StatusOK
	var report struct {
		Database string      `json:"database"`
		Redis    string      `json:"redis"`
		Nodes    []redisNode `json:"redis_nodes,omitempty"`
	}
	report.Database, report.Redis = "ok", "ok"
	if err := s.db.Ping(ctx); err != nil {
		status, report.Database = http.StatusServiceUnavailable, err.Error()
	}
	health, err := rediskit.Check(ctx, s.rdb)
	if err != nil {
		status, report.Redis = http.StatusServiceUnavailable, err.Error()
	}
	for _, n := range health.Nodes {
		report.Nodes = append(report.Nodes, redisNode{
			n.Addr, n.Role, n.Version, float64(n.Latency) / 1e6,
			n.MemoryUsed, n.MemoryMax, n.EvictionPolicy, n.Clients, n.MaxClients,
		})
	}
	return writeJSON(w, status, report)
}

// A redisNode is what one Redis server says of itself: null is what it does
// not say.
type redisNode struct {
	Addr           string                    `json:"addr"`
	Role           rediskit.Reported[string] `json:"role"`
	Version        rediskit.Reported[string] `json:"version"`
	LatencyMillis  float64                   `json:"latency_ms"`
	MemoryUsed     rediskit.Reported[int64]  `json:"memory_used_bytes"`
	MemoryMax      rediskit.Reported[int64]  `json:"memory_max_bytes"`
	EvictionPolicy rediskit.Reported[string] `json:"eviction_policy"`
	Clients        rediskit.Reported[int64]  `json:"clients"`
	MaxClients     rediskit.Reported[int64]  `json:"max_clients"`
}
