package pubsub

import "sync/atomic"

// TopicStats counts what a Topic has published since NewTopic.
type TopicStats struct {
	Published   uint64 // messages that Redis has taken
	RedisErrors uint64 // calls that Redis did not answer, or with an error
}

// Stats returns what the topic has counted so far. Its Hubs count for themselves.
func (t *Topic[T]) Stats() TopicStats {
	return TopicStats{Published: t.published.Load(), RedisErrors: t.report.RedisErrors()}
}

// Stats counts what a Hub has done since Listen.
type Stats struct {
	Received     uint64 // messages that came from Redis
	Healed       uint64 // messages read from the history after a connection was lost
	DecodeErrors uint64 // of these, payloads that did not decode
	Delivered    uint64 // messages and DecodeErrors that subscriptions have read, each counted
	Missed       uint64 // messages dropped for slow subscriptions, each counted when its GapError is read
	Gaps         uint64 // GapErrors that subscriptions have read
	Reconnects   uint64 // times a connection was lost and restored, or on a Cluster led to another primary
	Errors       uint64 // losses of a connection, failed attempts to restore it, failed probes and reads of the history
	Subscribers  int    // subscriptions that are open now
}

type counters struct {
	received, healed, decodeErrors, delivered, missed, gaps, reconnects, errors atomic.Uint64
}

// Stats returns what the hub has counted so far.
func (h *Hub[T]) Stats() Stats {
	return Stats{
		Received:     h.stats.received.Load(),
		Healed:       h.stats.healed.Load(),
		DecodeErrors: h.stats.decodeErrors.Load(),
		Delivered:    h.stats.delivered.Load(),
		Missed:       h.stats.missed.Load(),
		Gaps:         h.stats.gaps.Load(),
		Reconnects:   h.stats.reconnects.Load(),
		Errors:       h.stats.errors.Load(),
		Subscribers:  h.subscribers(),
	}
}
