package pubsub

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/jsoncodec"
	"github.com/convkit/rediskit/internal/report"
)

// A model of a log: what was appended is what a reader reads and what it is said to have
// missed, in order, whatever the size of the ring and the order of the readers.
func FuzzWhatIsPublishedIsReceivedOrMissed(f *testing.F) {
	f.Add(uint8(1), []byte("mmrmmgrRmmmmRr"))
	f.Add(uint8(3), []byte("mmmmgggrmgmgRmmmmmmmmgRrr"))
	f.Add(uint8(0), []byte("nmrnmRnmmrgR"))
	f.Fuzz(func(t *testing.T, behind uint8, steps []byte) {
		type reader struct {
			cursor
			from, received, missed int // of the messages
			gaps                   int
		}
		var l log[int]
		l.init(int(behind%70) + 1)
		readers := []*reader{{}}
		messages, gaps, gapsAt := 0, 0, []int{0} // at each reader's start
		read := func(i int) bool {
			r := readers[i]
			e, gap := l.read(&r.cursor)
			switch {
			case gap != nil:
				if gap.Missed == 0 && gap.Cause == nil {
					t.Fatal("a gap of nothing")
				}
				r.missed += int(gap.Missed)
				if gap.Cause != nil {
					r.gaps++
				}
			case e == nil:
				return false
			case e.gap != nil:
				r.gaps++
			default:
				if e.message.Value != r.from+r.received+r.missed {
					t.Fatalf("reader %d read %d after %d and %d missed", i, e.message.Value, r.received, r.missed)
				}
				r.received++
			}
			return true
		}
		for n, step := range steps {
			switch i := n % len(readers); step {
			case 'g':
				l.append(&entry[int]{gap: &GapError{Cause: errTest}})
				gaps++
			case 'n':
				p, err := l.tailCursor()
				if err != nil {
					t.Fatal(err)
				}
				readers = append(readers, &reader{cursor: p, from: messages})
				gapsAt = append(gapsAt, gaps)
			case 'r':
				read(i)
			case 'R':
				for read(i) {
				}
			default:
				l.append(&entry[int]{message: Message[int]{Value: messages}})
				messages++
			}
		}
		for i, r := range readers {
			for read(i) {
			}
			if r.received+r.missed != messages-r.from {
				t.Errorf("reader %d: %d messages, %d received and %d missed", i, messages-r.from, r.received, r.missed)
			}
			if all := gaps - gapsAt[i]; r.gaps > all || all > 0 && r.gaps == 0 {
				t.Errorf("reader %d: %d gaps, %d reported", i, all, r.gaps)
			}
		}
	})
}

// Whatever is published where a hub listens is a message or a DecodeError, with
// its bytes, and with none of them in the error's text.
func FuzzAnyPayloadIsAMessageOrADecodeError(f *testing.F) {
	const canary = "c4nary"
	for _, payload := range []string{"", "null", "{}", "[1]", `{"id":"`, `{"id":"x","data":{"x":[]}}`, "\xff", `{"id":1}`, `{"n":1e400}`} {
		f.Add("updates", payload, "")
		f.Add("rediskit:probe:x", payload, `"}`)
	}
	type event struct {
		ID   string         `json:"id"`
		N    int            `json:"n"`
		Data map[string]any `json:"data"`
	}
	f.Fuzz(func(t *testing.T, channel, before, after string) {
		payload := before + canary + after
		h := &Hub[event]{json: jsoncodec.For[event](), report: report.New("pubsub", "updates", nil), subs: map[*Subscription[event]]struct{}{}}
		h.log.init(1)
		sub := h.Subscribe()
		h.receive(&redis.Message{Channel: channel, Payload: payload})
		e, _, _, err := sub.read()
		switch {
		case strings.HasPrefix(channel, reserved):
			if e != nil {
				t.Errorf("the library's own channel %q was passed on", channel)
			}
		case err != nil || e == nil:
			t.Errorf("%q brought nothing, %v", payload, err)
		case e.bad == nil:
			if string(e.message.Raw) != payload || e.message.Channel != channel {
				t.Errorf("%q became %q", payload, e.message.Raw)
			}
		case string(e.bad.Raw) != payload || strings.Contains(e.bad.Error(), canary):
			t.Errorf("%q: %v", payload, e.bad)
		}
	})
}
