package pubsub

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redact"
	"github.com/convkit/rediskit/internal/subscriber"
)

// A probe looks whether a hub's connection leads to where everybody publishes. It
// publishes through the client, which follows Sentinel and the Cluster's map, and
// awaits the message on the hub's connection, which stays where it is for as long
// as the server there answers PONG.
type probe struct {
	rdb             redis.UniversalClient
	channel         string
	every, patience time.Duration
	restored        atomic.Int64 // how often the connection was
	echoes          chan string

	life    context.Context
	end     context.CancelFunc
	running sync.WaitGroup
}

func newProbe(rdb redis.UniversalClient, cfg Config) *probe {
	p := &probe{
		rdb: rdb, channel: reserved + "probe:" + strings.ToLower(rand.Text()),
		every: cfg.ProbeEvery, patience: cfg.Liveness,
		echoes: make(chan string, 1),
	}
	p.life, p.end = context.WithCancel(context.Background())
	return p
}

// start begins to probe a connection that is subscribed to the probe's channel.
func (p *probe) start(connection *subscriber.Subscriber, tell func(error)) {
	p.running.Go(func() {
		ticker := time.NewTicker(p.every)
		defer ticker.Stop()
		for n := 0; ; n++ {
			select {
			case <-ticker.C:
			case <-p.life.Done():
				return
			}
			restored := p.restored.Load()
			back, err := p.try(strconv.Itoa(n))
			switch {
			case p.life.Err() != nil:
				return
			case errors.Is(err, redis.ErrClosed):
				connection.Reconnect("the client was closed") // which it then finds
				return
			case err != nil:
				tell(redact.Clean(err))
			case !back && p.restored.Load() == restored:
				connection.Reconnect("a probe has not come back in time")
			}
		}
	})
}

// try reports whether a message comes back. It may be lost in a gap of which the
// hub knows.
func (p *probe) try(token string) (back bool, err error) {
	ctx, cancel := context.WithTimeout(p.life, p.patience)
	defer cancel()
	if err := p.rdb.Process(ctx, newPublish(ctx, p.channel, []byte(token))); err != nil {
		return false, err
	}
	for {
		select {
		case echo := <-p.echoes:
			if echo == token {
				return true, nil
			}
		case <-ctx.Done():
			return false, nil
		}
	}
}

// echo takes what came back. It runs on the goroutine that reads the connection.
func (p *probe) echo(token string) {
	select {
	case p.echoes <- token:
	default: // an older one was not taken: it came too late
		select {
		case <-p.echoes:
		default:
		}
		p.echoes <- token
	}
}

// stop ends the probe and waits for it.
func (p *probe) stop() {
	p.end()
	p.running.Wait()
}
