package pubsub

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// A log holds the newest entries of a hub, once for all its readers. Each reader has a
// cursor in it. So an entry costs the same for one reader as for ten thousand, and a reader
// that does not read costs nothing: when it reads again, it gets the number of messages
// that were replaced meanwhile.
//
// The writer fills a slot and then moves the head. Readers look at the head and then at the
// slot, without a lock. There are more slots than a reader may be behind, so the next entry
// never replaces one that may still be read.
type log[T any] struct {
	slots  []atomic.Pointer[entry[T]]
	head   atomic.Uint64 // how many entries there were
	behind uint64        // how far behind the head a reader may be

	mu       sync.Mutex
	tail     cursor        // of a reader that has read all
	cause    error         // of the last gap
	ended    error         // why no entry follows
	sleepers chan struct{} // closed at the next entry or the end; nil while no reader waits
}

// An entry is a message, a DecodeError in place of one, or a GapError.
type entry[T any] struct {
	cursor  // of the entry itself
	link    // of the message, if it has one
	message Message[T]
	bad     *DecodeError // instead of a message
	gap     *GapError    // instead of either
	cause   error        // of the last gap up to here
}

// A cursor is the position of one reader in a log.
type cursor struct {
	number   uint64 // of the next entry
	messages uint64 // of the entries before it, these were messages
	gaps     uint64 // and these gaps
}

// after returns the cursor behind an entry.
func (p cursor) after(gap bool) cursor {
	p.number++
	if gap {
		p.gaps++
	} else {
		p.messages++
	}
	return p
}

func (l *log[T]) init(behind int) {
	l.behind = uint64(behind)
	l.slots = make([]atomic.Pointer[entry[T]], 1<<bits.Len(uint(behind)))
}

func (l *log[T]) slot(number uint64) *atomic.Pointer[entry[T]] {
	return &l.slots[number&uint64(len(l.slots)-1)]
}

// append adds e and wakes the readers that wait for it.
func (l *log[T]) append(e *entry[T]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended != nil {
		return
	}
	if e.gap != nil {
		l.cause = e.gap.Cause
	}
	e.cursor, e.cause = l.tail, l.cause
	l.tail = e.after(e.gap != nil)
	l.slot(e.number).Store(e)
	l.head.Store(l.tail.number)
	l.wake()
}

// end makes reason what readers find after the last entry. Only the first counts.
func (l *log[T]) end(reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended == nil {
		l.ended = reason
	}
	l.wake()
}

// wake needs l.mu.
func (l *log[T]) wake() {
	if l.sleepers != nil {
		close(l.sleepers)
		l.sleepers = nil
	}
}

// tailCursor returns the cursor behind the last entry, or why there will be no more entries.
func (l *log[T]) tailCursor() (cursor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tail, l.ended
}

// read returns the entry at p and moves p behind it. Where entries were dropped,
// it returns their gap and moves p to the oldest that is left. It returns nothing
// when there is no more. Only one goroutine at a time may use one cursor.
func (l *log[T]) read(p *cursor) (*entry[T], *GapError) {
	for {
		head := l.head.Load()
		number := p.number
		if number == head {
			return nil, nil
		}
		late := head-number > l.behind
		if late {
			number = head - l.behind
		}
		e := l.slot(number).Load()
		switch {
		case e.number != number:
			continue // it was replaced: the head has moved on
		case !late:
			*p = e.after(e.gap != nil)
			return e, nil
		}
		gap := &GapError{Missed: e.messages - p.messages}
		if e.gaps > p.gaps {
			gap.Cause = e.cause
		}
		*p = e.cursor
		return nil, gap
	}
}

// newestFirst calls see for the entries that a reader may still read, from the newest on,
// until it returns false. None may be appended meanwhile.
func (l *log[T]) newestFirst(see func(*entry[T]) bool) {
	head := l.head.Load()
	for number := head; number > 0 && head-number < l.behind; number-- {
		if !see(l.slot(number - 1).Load()) {
			return
		}
	}
}

// sleep returns what is closed at the next entry or the end. When p is not at the
// tail it returns nil: read on. When the end has come, it returns why.
func (l *log[T]) sleep(p cursor) (<-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.number != l.tail.number {
		return nil, nil
	}
	if l.ended != nil {
		return nil, l.ended
	}
	if l.sleepers == nil {
		l.sleepers = make(chan struct{})
	}
	return l.sleepers, nil
}
