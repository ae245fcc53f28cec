// Package life gives goroutines an owner and an end.
//
// An object that starts goroutines holds one Life. Go starts a goroutine, End asks all of
// them to stop, and Wait returns when they have. A panic in one of them is recovered and
// reported with its stack. It ends the process only if the function that it is reported to
// panics as well.
package life

import (
	"context"
	"sync"
	"time"
)

// A Life owns the goroutines of one object. It is safe for concurrent use. Make it
// with New.
type Life struct {
	ctx     context.Context // ends at End
	end     context.CancelCauseFunc
	onPanic func(error)

	starting sync.RWMutex // held for reading while a goroutine is added, for writing by End
	running  sync.WaitGroup
}

// New returns a Life that has not ended. onPanic receives a *PanicError for each
// panic in a goroutine of the Life. It is required.
func New(onPanic func(error)) *Life {
	l := &Life{onPanic: onPanic}
	l.ctx, l.end = context.WithCancelCause(context.Background())
	return l
}

// Context ends when the Life does. Its cause is what was passed to End.
func (l *Life) Context() context.Context { return l.ctx }

// Ended reports whether End was called.
func (l *Life) Ended() bool { return l.ctx.Err() != nil }

// Go runs f in a goroutine that Wait waits for. It returns false, and does not run
// f, if the Life has ended.
//
// The context of f has the values of ctx but not its end: the work belongs to the
// object and not to the caller that happened to start it. It ends when the Life
// does, with the same cause.
func (l *Life) Go(ctx context.Context, f func(ctx context.Context)) bool {
	if !l.Begin() {
		return false
	}
	go func() {
		defer l.Done()
		defer Recover(l.onPanic)
		ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		defer cancel(nil)
		defer context.AfterFunc(l.ctx, func() { cancel(context.Cause(l.ctx)) })()
		f(ctx)
	}()
	return true
}

// Begin makes Wait wait for the caller's own goroutine, until it calls Done. It
// returns false if the Life has ended; Done must not be called then.
func (l *Life) Begin() bool {
	l.starting.RLock()
	defer l.starting.RUnlock()
	if l.Ended() {
		return false
	}
	l.running.Add(1)
	return true
}

// Done ends what Begin began.
func (l *Life) Done() { l.running.Done() }

// Child runs f in a goroutine that Wait waits for, also after End. Only a goroutine of
// the Life may call it.
func (l *Life) Child(f func()) { l.running.Go(f) }

// End ends the contexts of all goroutines, with cause, and lets no other one start.
// Only the first call counts. End does not wait.
func (l *Life) End(cause error) {
	l.starting.Lock()
	defer l.starting.Unlock()
	l.end(cause)
}

// Wait waits until every goroutine has returned, but no longer than limit. It
// reports whether they have. Call it after End.
func (l *Life) Wait(limit time.Duration) bool {
	done := make(chan struct{})
	go func() {
		l.running.Wait()
		close(done)
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
