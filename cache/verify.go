package cache

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/convkit/rediskit/internal/life"
)

// Verify makes a cache check in the background whether its hits are right. A hit that is
// chosen costs its caller nothing but a place in a list. The checks of one second are made
// together; Stats counts what they find, and OnError receives a *StaleError for each wrong
// value. The package documentation says how many checks prove what.
type Verify struct {
	// OneIn is how many hits there are to one that is checked, from 1: 10,000 checks
	// one hit of 10,000, spread over all of them. Up to 1,024 checks wait or are under way;
	// more are left out. A hit of Config.Local is compared with Redis once the
	// announcement of a change must have come. That costs a GET in a pipeline with
	// others. Defaults to 0, off.
	OneIn int

	// Source is how long after a change of the source its Delete or Set may take, at
	// least 1 ms. With it, hits in Redis are checked too, up to 1,024 more, if
	// GetOrLoad or GetOrLoadMany brought them: their loader runs again, one check after
	// the other, and must return a value with the same bytes. Otherwise, if the old
	// value is still in Redis after this time, it is deleted. Only for loaders that
	// encode to the same bytes until their source changes. Defaults to 0: hits in
	// Redis are not checked.
	Source time.Duration
}

func (v Verify) complete(local bool) error {
	switch {
	case v.OneIn < 0:
		return fmt.Errorf("cache: Config.Verify.OneIn is %d; it must be at least 1, or 0 for no checks", v.OneIn)
	case v.Source != 0 && v.Source < time.Millisecond:
		return fmt.Errorf("cache: Config.Verify.Source is %v; it must be at least 1ms, or 0 to leave hits in Redis unchecked", v.Source)
	case v.Source != 0 && v.OneIn == 0:
		return fmt.Errorf("cache: Config.Verify.OneIn is 0 and Config.Verify.Source is %v; set OneIn, such as 10000, for checks", v.Source)
	case v.OneIn > 0 && !local && v.Source == 0:
		return fmt.Errorf("cache: Config.Verify.OneIn is %d, and there is nothing to check; set Config.Local or Config.Verify.Source", v.OneIn)
	}
	return nil
}

// A StaleError is passed to Config.OnError when Config.Verify has found a value that is out
// of date, and nothing explains it. The value has been dropped.
type StaleError struct {
	// Source says what is wrong: with true, a value in Redis that its source does not
	// have any more, because a Delete is missing. With false, a value in this process
	// that Redis does not have any more, although nothing was announced.
	Source bool
	// Age is how long ago this process read the value from Redis.
	Age time.Duration
}

func (e *StaleError) Error() string {
	age := e.Age.Round(time.Millisecond)
	if e.Source {
		return fmt.Sprintf("a value that was read from Redis %v ago is not the source's: delete the value after each change of the source", age)
	}
	return fmt.Sprintf("a value of this process, read from Redis %v ago, has changed there without an announcement", age)
}

const (
	// maxChecks is how many checks of a backlog wait or are under way.
	maxChecks = 1024
	// checkEvery is the pause between two looks of a backlog.
	checkEvery = time.Second
	// checkTimeout bounds what one look asks Redis.
	checkTimeout = 2 * time.Second
	// checkBatch is how many values a check reads in one round trip.
	checkBatch = 64
)

// outcomes counts what checks have found.
type outcomes struct {
	same, changed, stale, unknown, unchecked atomic.Uint64
}

// A backlog holds the hits that were chosen until they are checked. It has a goroutine
// while it holds any. A nil *backlog chooses none.
type backlog[T any] struct {
	below   uint64 // chosen is what is not above
	limit   int
	every   time.Duration
	life    *life.Life
	onPanic func(error)
	found   *outcomes

	// look checks hits. It returns those that are to be looked at once more.
	look func(ctx context.Context, hits []T) (again []T)

	mu      sync.Mutex
	waiting []T
	held    atomic.Int64 // how many wait or are looked at
	running bool
}

func newBacklog[T any](oneIn int, life *life.Life, onPanic func(error), found *outcomes, look func(context.Context, []T) []T) *backlog[T] {
	return &backlog[T]{
		below: math.MaxUint64 / uint64(oneIn), limit: maxChecks, every: checkEvery,
		life: life, onPanic: onPanic, found: found, look: look,
	}
}

// chooses reports whether the hit with that number is to be added. A rhythm of one in so many
// would fall into step with a program that reads some ids in turn, and meet the same one
// again and again; this choice does not, and costs a multiplication.
func (b *backlog[T]) chooses(number uint64) bool { return b != nil && number*golden <= b.below }

// add keeps a hit for the next look.
func (b *backlog[T]) add(hit T) {
	if b.held.Load() >= int64(b.limit) {
		b.found.unchecked.Add(1)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.running {
		b.running = b.life.Go(context.Background(), b.run)
	}
	if b.running {
		b.waiting = append(b.waiting, hit)
		b.held.Add(1)
	}
}

// run looks at what waits, until nothing does.
func (b *backlog[T]) run(ctx context.Context) {
	for life.Sleep(ctx, b.every) {
		hits := b.take()
		if len(hits) == 0 {
			return
		}
		again := b.lookSafely(ctx, hits)
		b.mu.Lock()
		b.waiting = append(again, b.waiting...)
		b.held.Store(int64(len(b.waiting)))
		b.mu.Unlock()
	}
}

// take returns what waits. If nothing does, run ends, and add starts it again.
func (b *backlog[T]) take() []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	hits := b.waiting
	b.waiting = nil
	b.running = len(hits) > 0
	return hits
}

// lookSafely is look, which OnError, a codec or a loader may let panic. The next look comes
// all the same.
func (b *backlog[T]) lookSafely(ctx context.Context, hits []T) (again []T) {
	defer life.Recover(b.onPanic)
	return b.look(ctx, hits)
}
