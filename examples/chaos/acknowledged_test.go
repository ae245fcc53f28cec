package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/session"
)

// Acknowledged creates sessions, one after another, and afterwards looks for those whose
// creation was acknowledged: by a primary alone, and by the primary and all its replicas.
type acknowledged struct {
	// replicas is how many replicas acknowledge what is taken for acknowledged by all of them.
	replicas func(copies int) int

	rd    *round
	alone map[*member]*creations
	all   map[*member]*creations // nil where a primary has no replica
	next  atomic.Int64
}

// Creations are those of one member with one setting.
type creations struct {
	store *session.Store[visit]
	mu    sync.Mutex
	made  []string // ids of those that were acknowledged
}

func newAcknowledged() *acknowledged {
	return &acknowledged{replicas: func(copies int) int { return copies }}
}

func (a *acknowledged) start(rd *round) {
	a.rd = rd
	a.alone, a.all = map[*member]*creations{}, map[*member]*creations{}
	for _, m := range rd.members {
		a.alone[m] = a.open(m, "session:alone:*", 0)
		a.each(a.alone[m])
		if copies := rd.topology.copies; copies > 0 {
			a.all[m] = a.open(m, "session:kept:*", a.replicas(copies))
			redistest.Eventually(rd.t, func() bool { // a replica confirms nothing in its first second
				return a.create(rd.t.Context(), a.all[m]) == nil
			}, "all replicas acknowledge")
			a.each(a.all[m])
		}
	}
}

func (a *acknowledged) open(m *member, key string, replicas int) *creations {
	store, err := session.New[visit](m.rdb, session.Config{
		Key: key, TTL: longLived, Replicas: session.Replicas{N: replicas},
	})
	if err != nil {
		a.rd.t.Fatal(err)
	}
	return &creations{store: store}
}

func (a *acknowledged) each(c *creations) {
	a.rd.forever(10*time.Millisecond, func(*rand.Rand) {
		a.rd.call("Create", func(ctx context.Context) { _ = a.create(ctx, c) })
	})
}

func (a *acknowledged) create(ctx context.Context, c *creations) error {
	id := fmt.Sprint(a.next.Add(1))
	err := c.store.Create(ctx, id, visit{Speaker: "user_3", State: waiting})
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.made = append(c.made, id)
	}
	return err
}

// works needs no replica: where the fault takes one away, nothing is acknowledged by all.
func (a *acknowledged) works(ctx context.Context, m *member) error {
	return a.create(ctx, a.alone[m])
}

func (a *acknowledged) check(rd *round) {
	for _, m := range rd.members {
		made, lost := a.alone[m].count(rd)
		rd.keptAlone(made, lost)
		if !rd.window.mayLose() {
			rd.keptAll(made, lost, "the primary")
		}
		if a.all[m] != nil {
			made, lost = a.all[m].count(rd)
			rd.keptAll(made, lost, "all replicas")
		}
	}
}

// keptAll checks that no acknowledged session is gone.
func (rd *round) keptAll(made, lost int, by string) {
	rd.checked(kept, made)
	if lost > 0 {
		rd.violated(kept, "%d of %d sessions that %s acknowledged are gone", lost, made, by)
	}
}

// count returns how many creations were acknowledged, and how many of their sessions are
// gone.
func (c *creations) count(rd *round) (made, lost int) {
	for _, id := range c.made {
		rd.call("Get", func(ctx context.Context) {
			_, err := c.store.Get(ctx, id)
			switch {
			case errors.Is(err, session.ErrNotFound):
				lost++
			case err != nil:
				rd.violated(kept, "a session cannot be read: %v", err)
			}
		})
	}
	return len(c.made), lost
}

func (a *acknowledged) close() error { return nil }
