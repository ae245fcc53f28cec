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

// A turnstile is a proxy that counts round trips: a client that sends, after it was
// last answered or for the first time on its connection, begins one.
type turnstile struct {
	listener net.Listener
	target   string
	trips    atomic.Int64
	run      sync.WaitGroup
}

func newTurnstile(ctx context.Context, target string) (*turnstile, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &turnstile{listener: listener, target: target}
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

func (p *turnstile) serve(ctx context.Context, client net.Conn) {
	defer client.Close()
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.target)
	if err != nil {
		return
	}
	var awaiting atomic.Bool // the client has sent and not been answered
	p.run.Go(func() {
		defer client.Close()
		_, _ = io.Copy(tap{client, func() { awaiting.Store(false) }}, server)
	})
	_, _ = io.Copy(tap{server, func() {
		if !awaiting.Swap(true) {
			p.trips.Add(1)
		}
	}}, client)
	server.Close()
}

// close returns once the clients' connections, which must be closed before, are served.
func (p *turnstile) close() {
	p.listener.Close()
	p.run.Wait()
}

// A tap tells of each write before it is made.
type tap struct {
	io.Writer
	tell func()
}

func (t tap) Write(b []byte) (int, error) {
	t.tell()
	return t.Writer.Write(b)
}

// countTrips has one goroutine make calls of each contest that times calls, one after
// another through a turnstile, and records the round trips of a call. Of contests that
// differ only in the value, the first stands for all.
func (r *run) countTrips(ctx context.Context, contests []contest) error {
	began := time.Now()
	seen := map[string]bool{}
	for _, c := range contests {
		question, variant, _ := strings.Cut(c.name, "/")
		if strings.HasPrefix(variant, "call=") || strings.HasPrefix(variant, "policy=") {
			question = c.name
		}
		if c.goroutines == nil || seen[question] || question == "Decode" {
			continue
		}
		seen[question] = true
		if err := r.countTripsOf(ctx, c, question); err != nil {
			return err
		}
	}
	fmt.Fprintf(os.Stderr, "Trips %.1fs\n", time.Since(began).Seconds())
	return nil
}

func (r *run) countTripsOf(ctx context.Context, c contest, question string) error {
	p, err := newTurnstile(ctx, r.addr)
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
			before := p.trips.Load()
			if err := by.call(ctx, 0); err != nil {
				return fmt.Errorf("%s by %s: %w", c.name, by.by, err)
			}
			if i >= warm {
				trips = append(trips, p.trips.Load()-before)
			}
		}
		slices.Sort(trips) // go-redis now and then sends a PING of its own
		usual := float64(trips[counted/2])
		err := r.record("Trips/"+question+"/by="+by.by, counted, benchfmt.Value{Value: usual, Unit: "trips/op"})
		if err != nil {
			return err
		}
	}
	return nil
}
