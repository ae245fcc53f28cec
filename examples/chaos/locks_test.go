package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/convkit/rediskit/lock"
)

const (
	lockIDs = 3
	lockTTL = 500 * time.Millisecond
)

// A holding is what the model needs of a Lock.
type holding interface {
	Fence(ctx context.Context) (int64, error)
	Trusted() (at time.Time, ok bool) // whether the lock was valid at that time
	Release(ctx context.Context) error
}

// locker is what the model needs of a Locker.
type locker interface {
	Acquire(ctx context.Context, id string) (holding, error)
	Close() error
}

type realLocker struct{ *lock.Locker }

func (k realLocker) Acquire(ctx context.Context, id string) (holding, error) {
	held, err := k.Locker.Acquire(ctx, id)
	return realLock{held}, err
}

type realLock struct{ *lock.Lock }

func (l realLock) Trusted() (time.Time, bool) {
	now := time.Now()
	return now, l.Context().Err() == nil
}

// Locks writes to fenced registers under locks.
type locks struct {
	open    func(m *member) (locker, error)
	rd      *round
	lockers map[*member]locker

	mu        sync.Mutex
	registers [lockIDs]register
	history   []porcupine.Operation
	holds     [lockIDs][]hold
}

// A register refuses reads and writes with a fence that is lower than an earlier one.
type register struct{ fence, value int64 }

// A hold is a span of time in which a holder could consider its lock valid.
type hold struct{ from, till time.Time }

func newLocks() *locks {
	return &locks{open: func(m *member) (locker, error) {
		if m.remote != nil {
			return remoteLocker{m.remote}, nil
		}
		k, err := openLocks(m)
		return realLocker{k}, err
	}}
}

func openLocks(m *member) (*lock.Locker, error) {
	return lock.New(m.rdb, lock.Config{Key: "lock:*", TTL: lockTTL, Poll: 50 * time.Millisecond})
}

func (l *locks) start(rd *round) {
	l.rd, l.lockers = rd, map[*member]locker{}
	for _, m := range rd.members {
		k, err := l.open(m)
		if err != nil {
			rd.t.Fatal(err)
		}
		l.lockers[m] = k
	}
	for i, m := range rd.members {
		for n := range 3 {
			rd.forever(3*time.Millisecond, func(rng *rand.Rand) { l.visit(m, 3*i+n, rng) })
		}
	}
}

// An access is an operation on a register, as its model records it.
type access struct {
	id       int
	kind     string // "acquire", "read" or "write"
	fence    int64
	value    int64
	accepted bool
}

// visit increments a register under its lock.
func (l *locks) visit(m *member, client int, rng *rand.Rand) {
	id := rng.IntN(lockIDs)
	var held holding
	var fence int64
	var err error
	began := time.Now()
	l.rd.within("Acquire", callTimeout/2, func(ctx context.Context) {
		if held, err = l.lockers[m].Acquire(ctx, fmt.Sprint(id)); err != nil {
			held = nil
			return
		}
		fence, err = held.Fence(ctx)
	})
	if held == nil {
		return
	}
	defer l.release(held)
	if err != nil {
		return
	}
	l.record(client, began, access{id: id, kind: "acquire", fence: fence, accepted: true})
	h := hold{time.Now(), time.Now()}
	trusted := func() bool {
		at, ok := held.Trusted()
		if ok {
			h.till = at
		}
		return ok
	}
	if value, ok := l.access(client, id, "read", fence, 0); ok {
		stay := time.Duration(rng.IntN(6)) * time.Millisecond
		if rng.IntN(150) == 0 {
			stay = 3 * lockTTL // needs renewals
		}
		for until := time.Now().Add(stay); time.Now().Before(until) && trusted(); {
			time.Sleep(min(stay, 5*time.Millisecond))
		}
		trusted()
		l.access(client, id, "write", fence, value+1)
	}
	trusted()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holds[id] = append(l.holds[id], h)
}

func (l *locks) release(held holding) {
	l.rd.call("Release", func(ctx context.Context) { _ = held.Release(ctx) })
}

// access reads the register of id or writes to it.
func (l *locks) access(client, id int, kind string, fence, value int64) (int64, bool) {
	began := time.Now()
	l.mu.Lock()
	r := &l.registers[id]
	ok := fence >= r.fence
	if ok {
		r.fence = fence
		if kind == "write" {
			r.value = value
		}
	}
	value = r.value
	l.mu.Unlock()
	l.record(client, began, access{id, kind, fence, value, ok})
	return value, ok
}

func (l *locks) record(client int, began time.Time, a access) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.history = append(l.history, porcupine.Operation{
		ClientId: client, Input: a, Call: began.UnixNano(), Return: time.Now().UnixNano(),
	})
}

// model is a register whose fences rise with each acquisition. Only the holder of the
// highest fence changes it, after it has read the current value.
var model = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		parts := make([][]porcupine.Operation, lockIDs)
		for _, op := range all {
			id := op.Input.(access).id
			parts[id] = append(parts[id], op)
		}
		return parts
	},
	Init: func() any { return modelState{} },
	Step: func(state, input, _ any) (bool, any) {
		s, a := state.(modelState), input.(access)
		if a.kind == "acquire" {
			ok := a.fence > s.minted
			s.minted = a.fence
			return ok, s
		}
		if a.accepted != (a.fence >= s.fence) {
			return false, s
		}
		if !a.accepted {
			return true, s
		}
		s.fence = a.fence
		if a.kind == "write" {
			ok := a.value == s.value+1
			s.value = a.value
			return ok, s
		}
		return a.value == s.value, s
	},
}

type modelState struct{ minted, fence, value int64 }

func (l *locks) works(ctx context.Context, m *member) error {
	held, err := l.lockers[m].Acquire(ctx, "works "+m.name)
	if err != nil {
		return err
	}
	return held.Release(ctx)
}

func (l *locks) check(rd *round) {
	rising := rd.window.risingUntil().UnixNano()
	history := slices.DeleteFunc(l.history, func(op porcupine.Operation) bool { return op.Return > rising })
	rd.checked(fencedLocks, len(history))
	if got := porcupine.CheckOperationsTimeout(model, history, 30*time.Second); got != porcupine.Ok {
		rd.violated(fencedLocks, "the history of %d operations on fenced registers is not linearizable: %v", len(history), got)
	}
	for id, holds := range l.holds {
		slices.SortFunc(holds, func(a, b hold) int { return a.from.Compare(b.from) })
		for i, b := range holds {
			for _, a := range holds[:i] {
				if b.from.Before(a.till) && rd.window.durable(a.from, b.from) {
					rd.violated(exclusion, "lock %d had two holders for %v", id, a.till.Sub(b.from))
				}
			}
		}
		rd.checked(exclusion, max(len(holds)-1, 0))
	}
}

func (l *locks) close() error {
	var errs []error
	for _, k := range l.lockers {
		errs = append(errs, k.Close())
	}
	return errors.Join(errs...)
}
