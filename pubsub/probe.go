package pubsub

import (
	"context"
	"crypto/rand"
	"errors"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/redact"
	"github.com/convkit/rediskit/internal/subscriber"
)

// A probe checks that a hub's connection leads to the server at which messages are
// published. It publishes as Topic.Publish does, through the client, which follows Sentinel
// and the Cluster's map, and waits for the message on the hub's connection, which stays
// where it is for as long as the server there answers PONG. On a Cluster the primary that
// the map names may answer that the slot has moved: then the client reads the map anew. A
// probe owns one goroutine.
type probe struct {
	*publisher
	channel      string
	every, limit time.Duration
	report       func(error)
	restored     atomic.Int64 // how often the hub's connection was restored
	echoes       chan string  // holds the newest message that came back, until it is taken
	life         *life.Life
}

// newProbe returns a probe that has not started, on a channel of its own in the slot of the
// hub's channel or pattern. report receives the errors.
func newProbe(rdb redis.UniversalClient, of string, every, limit time.Duration, report func(error)) *probe {
	own := keys.Sibling("probe", of) + ":" + strings.ToLower(rand.Text())
	return &probe{
		publisher: newPublisher(rdb, own, of), channel: own,
		every: every, limit: limit,
		report: report,
		echoes: make(chan string, 1),
		life:   life.New(report),
	}
}

// start begins to probe a connection that is subscribed to the probe's channel.
func (p *probe) start(connection *subscriber.Subscriber) {
	p.life.Go(context.Background(), func(ctx context.Context) {
		ticker := time.NewTicker(p.every)
		defer ticker.Stop()
		for n := 0; ; n++ {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
			if clientClosed := p.check(ctx, connection, strconv.Itoa(n)); clientClosed {
				return
			}
		}
	})
}

// check sends one probe, and has the connection made anew if it does not come back. It
// reports whether the client was found closed.
func (p *probe) check(ctx context.Context, connection *subscriber.Subscriber, token string) (clientClosed bool) {
	defer life.Recover(p.report) // the next probe comes all the same
	restored := p.restored.Load()
	back, err := p.try(ctx, token)
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, redis.ErrClosed):
		connection.Reconnect("the client was closed") // so that the subscriber finds it too
		return true
	case err != nil:
		p.report(redact.Clean(err))
	case !back && p.restored.Load() == restored: // else the probe may be lost in that gap
		connection.Reconnect("a probe has not come back in time")
	}
	return false
}

// try publishes token and reports whether it comes back.
func (p *probe) try(ctx context.Context, token string) (back bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	if _, err := p.publish(ctx, []byte(token)); err != nil {
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

// echo takes a message that came back. It runs on the goroutine that reads the
// connection, and does not block.
func (p *probe) echo(token string) {
	select {
	case p.echoes <- token:
	default: // an older one came too late, and was not taken
		select {
		case <-p.echoes:
		default:
		}
		p.echoes <- token
	}
}

// stop ends the probe and waits for it.
func (p *probe) stop() {
	p.life.End(ErrClosed)
	p.life.Wait(math.MaxInt64)
}
