package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/perf/benchfmt"
)

// A roundTripCounter is a proxy that counts round trips. A round trip begins when a client
// sends for the first time on its connection, or for the first time after an answer.
type roundTripCounter struct {
	listener net.Listener
	target   string
	count    atomic.Int64
	run      sync.WaitGroup
}

func newRoundTripCounter(ctx context.Context, target string) (*roundTripCounter, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &roundTripCounter{listener: listener, target: target}
	p.run.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.run.Go(func() { p.serve(ctx, client) })
		}
	})
	return p, nil
}

func (p *roundTripCounter) serve(ctx context.Context, client net.Conn) {
	defer client.Close()
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.target)
	if err != nil {
		return
	}
	var awaiting atomic.Bool // the client has sent and has no answer yet
	p.run.Go(func() {
		defer client.Close()
		_, _ = io.Copy(tap{client, func() { awaiting.Store(false) }}, server)
	})
	_, _ = io.Copy(tap{server, func() {
		if !awaiting.Swap(true) {
			p.count.Add(1)
		}
	}}, client)
	server.Close()
}

// close waits for all connections to end. The clients must have closed them before.
func (p *roundTripCounter) close() {
	p.listener.Close()
	p.run.Wait()
}

// A tap calls before ahead of each write.
type tap struct {
	io.Writer
	before func()
}

func (t tap) Write(b []byte) (int, error) {
	t.before()
	return t.Writer.Write(b)
}

// countRoundTrips records the round trips of one call in each contest whose contestants
// have a call. One goroutine makes the calls, one after another. Of contests that differ
// only in the value, only the first is counted.
func (r *run) countRoundTrips(ctx context.Context, contests []contest) error {
	began := time.Now()
	counted := map[string]bool{}
	for _, c := range contests {
		question, variant, _ := strings.Cut(c.name, "/")
		if strings.HasPrefix(variant, "call=") || strings.HasPrefix(variant, "policy=") {
			question = c.name
		}
		if c.goroutines == nil || counted[question] || question == "Decode" {
			continue
		}
		counted[question] = true
		if err := r.countRoundTripsOf(ctx, c, question); err != nil {
			return err
		}
	}
	fmt.Fprintf(os.Stderr, "Round trips %.1fs\n", time.Since(began).Seconds())
	return nil
}

func (r *run) countRoundTripsOf(ctx context.Context, c contest, question string) error {
	p, err := newRoundTripCounter(ctx, r.addr)
	if err != nil {
		return err
	}
	defer p.close()
	a := r.arena(ctx, p.listener.Addr().String())
	defer a.close()
	contestants, err := a.enter(c)
	if err != nil {
		return err
	}
	const warm, counted = 3, 20
	for _, by := range contestants {
		var trips []int64
		for i := range warm + counted {
			before := p.count.Load()
			if err := by.call(ctx, 0); err != nil {
				return fmt.Errorf("%s by %s: %w", c.name, by.by, err)
			}
			if i >= warm {
				trips = append(trips, p.count.Load()-before)
			}
		}
		slices.Sort(trips) // the median, because go-redis sometimes sends a PING of its own
		usual := float64(trips[counted/2])
		err := r.record("Trips/"+question+"/by="+by.by, counted, benchfmt.Value{Value: usual, Unit: "trips/op"})
		if err != nil {
			return err
		}
	}
	return nil
}
