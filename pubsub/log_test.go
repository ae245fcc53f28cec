package pubsub

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

var errTest = errors.New("test")

// Readers that are overrun at any moment still account for every entry, in order.
func TestLogAccountsForEveryEntry(t *testing.T) {
	t.Parallel()
	for _, behind := range []int{1, 2, 3, 64} {
		t.Run(fmt.Sprint(behind), func(t *testing.T) {
			t.Parallel()
			const entries = 100_000
			var l log[int]
			l.init(behind)
			var readers sync.WaitGroup
			for range 4 {
				readers.Go(func() {
					var p cursor
					messages, gaps, missed := uint64(0), uint64(0), uint64(0)
					for {
						switch e, dropped := l.read(&p); {
						case dropped != nil:
							missed += dropped.Missed
							if dropped.Missed == 0 && dropped.Cause == nil {
								t.Error("a gap of nothing")
							}
						case e == nil:
							wait, ended := l.sleep(p)
							if ended != nil {
								if messages+missed != p.messages || p.number != entries || gaps > p.gaps {
									t.Errorf("%d read and %d missed of %d messages; at %d of %d", messages, missed, p.messages, p.number, entries)
								}
								return
							}
							if wait != nil {
								<-wait
							}
						case e.gap != nil:
							gaps++
						default:
							if uint64(e.message.Value) != messages+missed {
								t.Errorf("read %d after %d and %d missed", e.message.Value, messages, missed)
								return
							}
							messages++
						}
					}
				})
			}
			message := 0
			for i := range entries {
				if i%1000 == 999 {
					l.append(&entry[int]{gap: &GapError{Cause: errTest}})
				} else {
					l.append(&entry[int]{message: Message[int]{Value: message}})
					message++
				}
			}
			l.end(errTest)
			readers.Wait()
		})
	}
}

// The writer may have replaced an entry since the reader looked at the head.
func TestReplacedEntryIsNotReadForAnother(t *testing.T) {
	t.Parallel()
	var l log[int]
	l.init(1)
	l.append(&entry[int]{})
	l.slot(2).Store(&entry[int]{cursor: cursor{number: 2, messages: 2}}) // where number 0 was
	time.AfterFunc(time.Millisecond, func() { l.head.Store(3) })
	var p cursor
	if e, gap := l.read(&p); e != nil || gap.Missed != 2 || p.number != 2 {
		t.Errorf("read %v, %v, now at %d", e, gap, p.number)
	}
}

func TestLogTakesNothingAfterItsEnd(t *testing.T) {
	t.Parallel()
	var l log[int]
	l.init(1)
	l.end(errTest)
	l.append(&entry[int]{})
	l.end(errors.New("another"))
	var p cursor
	if e, gap := l.read(&p); e != nil || gap != nil {
		t.Errorf("read %v, %v", e, gap)
	}
	if _, err := l.sleep(p); err != errTest {
		t.Errorf("ended with %v", err)
	}
}

func TestGapErrorSaysWhatIsKnown(t *testing.T) {
	t.Parallel()
	for want, gap := range map[string]*GapError{
		"pubsub: 3 messages were dropped: the subscription was too slow":                                                                         {Missed: 3},
		"pubsub: messages may be missing: the connection was lost and is restored: test":                                                         {Cause: errTest},
		"pubsub: 3 messages were dropped: the subscription was too slow; and more may be missing: the connection was lost and is restored: test": {Missed: 3, Cause: errTest},
	} {
		if got := gap.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if errors.Is(gap, errTest) != (gap.Cause != nil) {
			t.Errorf("%v does not unwrap to its cause", gap)
		}
	}
}
