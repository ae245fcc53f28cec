package metrics

import (
	"errors"
	"fmt"
	"reflect"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/lock"
	"github.com/convkit/rediskit/pubsub"
	"github.com/convkit/rediskit/ratelimit"
	"github.com/convkit/rediskit/session"
)

// A Source is a *cache.Cache, *session.Store, *ratelimit.Limiter, *lock.Locker,
// *pubsub.Topic, *pubsub.Hub or [Pool], or another value that has a Name and the Stats
// of one of them.
type Source interface {
	// Name returns the value of the source's label.
	Name() string
}

// stats is the other method of a Source.
type stats[S any] interface{ Stats() S }

// A source is a Source whose series are known.
type source interface {
	describe(chan<- *prometheus.Desc)
	collect(chan<- prometheus.Metric)
}

// identity differs for all sources of a Collector.
type identity struct{ kind, name string }

// newSource returns the source for the type of from. The error continues "source 1".
func newSource(from Source) (source, identity, error) {
	if v := reflect.ValueOf(from); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, identity{}, errors.New("is nil; make it before its Collector")
	}
	name := from.Name()
	if name == "" {
		return nil, identity{}, fmt.Errorf("is a %T without a name; give it one", from)
	}
	if !utf8.ValidString(name) {
		return nil, identity{}, fmt.Errorf("has the name %q, which is not UTF-8; set the Name of its Config", name)
	}
	switch from := from.(type) {
	case stats[cache.Stats]:
		return newReader(from.Stats, cacheSeries, "cache", name), identity{"cache", name}, nil
	case stats[session.Stats]:
		return newReader(from.Stats, sessionSeries, "store", name), identity{"session store", name}, nil
	case stats[ratelimit.Stats]:
		return newReader(from.Stats, ratelimitSeries, "limiter", name), identity{"limiter", name}, nil
	case stats[lock.Stats]:
		return newReader(from.Stats, lockSeries, "locker", name), identity{"locker", name}, nil
	case stats[pubsub.TopicStats]:
		return newReader(from.Stats, topicSeries, "topic", name), identity{"topic", name}, nil
	case stats[pubsub.Stats]:
		return newReader(from.Stats, hubSeries, "topic", name), identity{"hub of the topic", name}, nil
	case pool:
		s, err := from.source()
		return s, identity{"pool", name}, err
	}
	return nil, identity{}, fmt.Errorf("is a %T, which has no Stats of this library", from)
}
