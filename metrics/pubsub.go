package metrics

import "github.com/convkit/rediskit/pubsub"

var topicSeries = []series[pubsub.TopicStats]{
	counter("rediskit_pubsub_published_total", "Messages that Redis accepted.", func(s pubsub.TopicStats) uint64 { return s.Published }),
	redisErrors("pubsub", func(s pubsub.TopicStats) uint64 { return s.RedisErrors }),
}

var hubSeries = []series[pubsub.Stats]{
	counter("rediskit_pubsub_received_total", "Messages that came from Redis.", func(s pubsub.Stats) uint64 { return s.Received }),
	counter("rediskit_pubsub_healed_total", "Messages read from the history after a connection was lost.", func(s pubsub.Stats) uint64 { return s.Healed }),
	counter("rediskit_pubsub_decode_errors_total", "Messages from Redis that did not decode.", func(s pubsub.Stats) uint64 { return s.DecodeErrors }),
	counter("rediskit_pubsub_delivered_total", "Messages that subscriptions have read, counted for each subscription.", func(s pubsub.Stats) uint64 { return s.Delivered }),
	counter("rediskit_pubsub_missed_total", "Messages dropped for slow subscriptions, counted when the gap is reported.", func(s pubsub.Stats) uint64 { return s.Missed }),
	counter("rediskit_pubsub_gaps_total", "Gaps that were reported to subscriptions.", func(s pubsub.Stats) uint64 { return s.Gaps }),
	counter("rediskit_pubsub_reconnects_total", "Times a connection was lost and restored, or on a Cluster led to another primary.", func(s pubsub.Stats) uint64 { return s.Reconnects }),
	counter("rediskit_pubsub_connection_errors_total", "Losses of a connection, failed attempts to restore it, failed probes.", func(s pubsub.Stats) uint64 { return s.Errors }),
	gauge("rediskit_pubsub_subscribers", "Subscriptions that are open now.", func(s pubsub.Stats) uint64 { return uint64(s.Subscribers) }),
}
