package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/examples/internal/manager"
)

// welcome prints the addresses of everything, and requests to try.
func welcome(ctx context.Context, out io.Writer, service *manager.Service, addr net.Addr, path, redis string) error {
	speaker, conversation, err := service.Example(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, `Listening on http://%[1]s
Database     %[2]s
Redis        %[3]s
Metrics      http://%[1]s/metrics

A list. X-Cache is "miss", and "hit" the second time:

curl -i http://%[1]s/speakers/%[4]s/conversations

A message. A second one while the assistant still thinks is answered 409.
The next list is a miss again:

curl -i http://%[1]s/conversations/%[5]s/messages \
  -H 'Content-Type: application/json' -d '{"role": "user", "text": "E amanhã?"}'

The session that the message has begun. It lasts five minutes:

curl http://%[1]s/conversations/%[5]s/session

The counts of the cache, and the health of Redis and the database:

curl http://%[1]s/stats
curl http://%[1]s/healthz

Ctrl-C ends.

`, addr, path, redis, speaker, conversation)
	return err
}

// watch prints the counts of the cache when they have changed, at most once a second,
// until ctx ends.
func watch(ctx context.Context, out io.Writer, stats func() cache.Stats) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	before := line(cache.Stats{})
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := line(stats()); now != before {
			before = now
			fmt.Fprintf(out, "%s  %s\n", time.Now().Format(time.TimeOnly), now)
		}
	}
}

func line(s cache.Stats) string {
	return fmt.Sprintf("hits %d  misses %d  loads %d  hit rate %.1f%%", s.Hits, s.Misses, s.Loads, 100*manager.HitRate(s))
}
