package durability

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/internal/redistest/netlab"
	"github.com/convkit/rediskit/lock"
	"github.com/convkit/rediskit/ratelimit"
	"github.com/convkit/rediskit/secrets"
	"github.com/convkit/rediskit/session"
)

const (
	writers   = 2                     // of each client
	every     = 10 * time.Millisecond // the pause after a change, and after a question to the limiter
	perVisit  = 20                    // changes of one session
	limit     = 800                   // more than both clients ask for before the fault
	lockTTL   = 2 * time.Second
	limited   = "all" // the id at the limiter
	shared    = "all" // the id of the lock
	lookEvery = 5 * time.Millisecond
)

// A visit is the session that clients change. Each change adds a number of its own.
type visit struct {
	Changes string `redis:"changes,required"`
}

// A change is one that was acknowledged.
type change struct {
	id     string
	number int
	at     time.Time
}

type span struct{ from, to time.Time }

// A client works with rediskit until it is ended, and notes what it was told.
type client struct {
	*run
	name    string
	host    *netlab.Host // nil for this machine
	rdb     redis.UniversalClient
	visits  *session.Store[visit]
	limiter *ratelimit.Limiter
	locks   *lock.Locker

	ctx  context.Context
	stop context.CancelFunc
	work sync.WaitGroup

	mu       sync.Mutex
	acked    []change
	refused  int // changes that were not acknowledged
	admitted int
	trusted  []span
}

// newClient connects from a host of the network, or from this machine if host is nil.
func (r *run) newClient(name string, at target, host *netlab.Host) *client {
	r.t.Helper()
	c := &client{run: r, name: name, host: host}
	c.ctx, c.stop = context.WithCancel(context.Background())
	cfg := rediskit.Config{Addrs: at.addrs, MasterName: at.master, Password: secrets.None()}
	if host != nil {
		cfg.Tune = func(o *redis.UniversalOptions) {
			d := host.Dialer()
			d.Timeout = o.DialTimeout
			o.Dialer = d.DialContext
		}
	}
	var err error
	if c.rdb, err = rediskit.Connect(c.ctx, cfg); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.rdb.Close() })
	if c.visits, err = newVisits(c.rdb, r.tag, r.setting); err != nil {
		r.t.Fatal(err)
	}
	if c.limiter, err = ratelimit.New(c.rdb, ratelimit.Config{
		Key: prefix("limit", r.tag) + "*", WhenDown: ratelimit.FailClosed,
	}, ratelimit.PerHour(limit)); err != nil {
		r.t.Fatal(err)
	}
	if c.locks, err = lock.New(c.rdb, lock.Config{
		Key: prefix("lock", r.tag) + "*", TTL: lockTTL, Replicas: lock.Replicas{N: r.setting.confirm},
	}); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.end)
	return c
}

func newVisits(rdb redis.UniversalClient, tag string, s setting) (*session.Store[visit], error) {
	return session.New[visit](rdb, session.Config{
		Key: prefix("visit", tag) + "*", TTL: time.Hour, Replicas: session.Replicas{N: s.confirm},
	})
}

// end ends the work of c and closes it. It may be called again.
func (c *client) end() {
	c.stop()
	c.work.Wait()
	_ = c.locks.Close()
	_ = c.rdb.Close()
}

// repeat runs f again and again.
func (c *client) repeat(f func(n int)) {
	c.work.Go(func() {
		for n := 1; c.ctx.Err() == nil; n++ {
			f(n)
			select {
			case <-time.After(every):
			case <-c.ctx.Done():
			}
		}
	})
}

// change starts the writers. A writer changes one session for a while, then another one. It
// also goes on to another one after a change that was not acknowledged.
func (c *client) change() {
	for w := range writers {
		id := ""
		c.repeat(func(n int) {
			var err error
			if id == "" || n%perVisit == 0 {
				id = fmt.Sprint(c.name, "-", w, "-", n)
				err = c.visits.Create(c.ctx, id, visit{Changes: fmt.Sprint(n)})
			} else {
				_, err = c.visits.Update(c.ctx, id, func(v *visit) error {
					v.Changes += fmt.Sprint(" ", n)
					return nil
				})
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			switch {
			case err == nil:
				c.acked = append(c.acked, change{id, n, time.Now()})
			case c.ctx.Err() == nil:
				c.refused++
				id = ""
			}
		})
	}
}

// ask asks one limiter of both clients again and again.
func (c *client) ask() {
	c.repeat(func(int) {
		result, err := c.limiter.Allow(c.ctx, limited)
		if err == nil && result.Allowed {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.admitted++
		}
	})
}

// hold waits for the lock and notes when c trusts it. If now is set, it returns once c has
// the lock. A lock that is lost is not taken again.
func (c *client) hold(now bool) {
	held := make(chan struct{})
	c.work.Go(func() {
		l, err := c.locks.Acquire(c.ctx, shared)
		for ; err != nil && c.ctx.Err() == nil; l, err = c.locks.Acquire(c.ctx, shared) {
			time.Sleep(every)
		}
		at := time.Now()
		close(held)
		if err != nil {
			return
		}
		for c.ctx.Err() == nil && l.Context().Err() == nil {
			time.Sleep(lookEvery)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.trusted = append(c.trusted, span{at, time.Now()})
	})
	if now {
		<-held
	}
}
