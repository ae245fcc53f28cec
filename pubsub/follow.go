package pubsub

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/redact"
	"github.com/convkit/rediskit/internal/sender"
	"github.com/convkit/rediskit/internal/subscriber"
)

const (
	// lookEvery is how often a spread looks at the client's map, which costs no round trip.
	lookEvery = 250 * time.Millisecond
	// askEvery is how often, besides, it asks the Cluster which primaries there are.
	askEvery = 5 * time.Second
	// againAfter is the pause after a primary has refused the pattern.
	againAfter = time.Second
)

var (
	errSlotMoved = redact.New("the slot of a channel has another primary now")
	errPrimaries = redact.New("the cluster has other primaries now")
)

// watch follows the primaries and the slots until the spread ends.
func (s *spread) watch(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	var asked time.Time
	for {
		if s.look(ctx) || time.Since(asked) >= askEvery {
			asked = time.Now()
			switch err := s.followPrimaries(ctx); {
			case errors.Is(err, redis.ErrClosed):
				s.life.End(ErrClientClosed)
				_ = s.disconnect()
				s.cfg.ended()
				return
			case err != nil && ctx.Err() == nil:
				s.failed(redact.Clean(err))
				life.Sleep(ctx, againAfter)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// look brings the owners of slots to what the client's map says. It reports whether the Cluster is
// to be asked which primaries there are.
func (s *spread) look(ctx context.Context) (ask bool) {
	defer life.Recover(s.cfg.report) // the next look comes all the same
	s.mu.Lock()
	defer s.mu.Unlock()
	s.compare(ctx)
	ask, s.ask = s.ask, false
	return ask
}

// compare brings the owners of slots to what the client's map says. It needs s.mu.
func (s *spread) compare(ctx context.Context) {
	moved := false
	for slot, was := range s.owners {
		now, err := sender.PrimaryOf(ctx, s.cfg.rdb, was.channel)
		if err != nil || now == was.primary {
			continue
		}
		s.owners[slot] = owner{was.channel, now}
		n := s.nodes[now.(*redis.Client)]
		s.ask = s.ask || n == nil
		moved = moved || n != nil && n.live // else the gap comes when it is live
	}
	if moved {
		s.gap(errSlotMoved)
	}
}

// followPrimaries makes a connection to each primary, and ends all others. Its error is
// redis.ErrClosed if the client was closed.
func (s *spread) followPrimaries(ctx context.Context) (err error) {
	defer life.Recover(func(panicked error) { err = panicked }) // in a hook of the client
	asking, cancel := context.WithTimeout(ctx, askEvery)
	defer cancel()
	primaries := map[*redis.Client]bool{}
	for primary, err := range sender.Primaries(asking, s.cfg.rdb) {
		if err != nil {
			return err
		}
		primaries[primary.(*redis.Client)] = true
	}
	leaving, err := s.keep(ctx, primaries)
	for _, n := range leaving {
		err = errors.Join(err, n.sub.Close())
	}
	return err
}

// keep makes the connections that are missing, and returns those that are to end.
func (s *spread) keep(ctx context.Context, primaries map[*redis.Client]bool) (leaving []*node, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for primary, n := range s.nodes {
		switch {
		case !primaries[primary]:
			leaving = append(leaving, n)
			delete(s.nodes, primary)
		case n.ended: // go-redis closes the client of one node only when that is no primary
			err = redis.ErrClosed
		}
	}
	joining := false
	for primary := range primaries {
		if s.nodes[primary] == nil {
			s.nodes[primary] = s.connect(primary)
			joining = true
		}
	}
	s.compare(ctx)                    // with the map that names these primaries
	if len(leaving) > 0 && !joining { // else the gap comes when the new connections are live
		s.gap(errPrimaries)
	}
	return leaving, err
}

// connect makes the connection to one primary. It needs s.mu.
func (s *spread) connect(primary *redis.Client) *node {
	n := &node{}
	locked := func(f func()) {
		s.mu.Lock()
		defer s.mu.Unlock()
		f()
	}
	n.sub, _ = subscriber.New(primary, subscriber.Config{ // no error: it is a *redis.Client
		Liveness:  s.cfg.liveness,
		OnMessage: func(m *redis.Message) { locked(func() { s.receive(primary, m) }) },
		OnLive:    func() { locked(func() { s.joined(n) }) },
		OnGap:     func(cause error) { locked(func() { s.gap(cause) }) },
		OnError:   s.failed,
		OnEnd:     func(error) { locked(func() { n.ended, s.ask = true, true }) },
	})
	s.life.Go(context.Background(), func(ctx context.Context) {
		for ctx.Err() == nil {
			err := n.sub.PSubscribe(ctx, s.cfg.pattern)
			if err == nil || errors.Is(err, subscriber.ErrClosed) || errors.Is(err, subscriber.ErrClientClosed) {
				return
			}
			if ctx.Err() == nil {
				locked(func() { n.refused = err })
				s.failed(err)
				life.Sleep(ctx, againAfter)
			}
		}
	})
	return n
}
