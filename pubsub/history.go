package pubsub

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/sender"
)

// A History says how much of what is published Redis keeps, so that a Hub that was away
// can read what it missed, and a subscription can begin behind a message. If either field
// is set, there is a history, and the other field has its default.
type History struct {
	// Messages is how many messages are kept at least, unless they are older than Age.
	// Redis keeps up to a hundred more. From 1 to 1,000,000. Defaults to 1000.
	Messages int

	// Age is how long messages are kept, from 1 s to 168 hours. After that time without
	// a message the history is gone; until then Redis may keep older messages too, within
	// Messages. Defaults to 5 minutes.
	Age time.Duration
}

const (
	defaultHistory = 1000
	maxHistory     = 1_000_000
	defaultAge     = 5 * time.Minute
	minAge         = time.Second
	maxAge         = 7 * 24 * time.Hour

	// lastTTL is how much longer than its messages the newest position is kept. A Hub that
	// has heard the newest message then knows that it has missed nothing.
	lastTTL = 7 * 24 * time.Hour
)

// on reports whether there is a history.
func (h History) on() bool { return h != History{} }

// complete checks h and fills in its defaults.
func (h History) complete() (History, error) {
	if h.Messages < 0 || h.Messages > maxHistory {
		return h, fmt.Errorf("pubsub: Config.History.Messages is %d; it must be from 1 to %d, or 0 for %d", h.Messages, maxHistory, defaultHistory)
	}
	if h.Age != 0 && (h.Age < minAge || h.Age > maxAge) {
		return h, fmt.Errorf("pubsub: Config.History.Age is %v; it must be from %v to %v, or 0 for %v", h.Age, minAge, maxAge, defaultAge)
	}
	if h.on() && h.Messages == 0 {
		h.Messages = defaultHistory
	}
	if h.on() && h.Age == 0 {
		h.Age = defaultAge
	}
	return h, nil
}

var (
	//go:embed record.lua
	recordSource string
	recordScript = sender.NewScript(recordSource)

	//go:embed readback.lua
	readbackSource string
	readbackScript = sender.NewScript(readbackSource)
)

// historyKeys returns the keys of a channel's history.
func historyKeys(channel string) []string {
	return []string{keys.Sibling("history", channel), keys.Sibling("newest", channel)}
}

// positionsOf returns the channel on which the positions of a channel's messages are
// published.
func positionsOf(channel string) string { return keys.Sibling("position", channel) }

// A historian reads the history of a channel, at the primary of the channel's slot.
type historian struct {
	sender *sender.Sender
	keys   []string
}

func newHistorian(rdb redis.UniversalClient, channel string) *historian {
	return &historian{sender.New(rdb, true), historyKeys(channel)}
}

// A page is a part of a history.
type page struct {
	newest  position // of the newest message; zero if none is known
	found   bool     // the history has the position that was asked for
	entries []kept   // behind that position, or else from the oldest on
	end     bool     // there are no more entries
}

// A kept message is an entry of a history.
type kept struct {
	link
	payload string
}

// read returns at most count messages behind from, or the oldest ones if from is not there.
// One round trip. It is sent again only if it surely did not run.
func (h *historian) read(ctx context.Context, from position, count int) (page, error) {
	cmd := h.sender.Run(ctx, sender.Pinned, sender.Call{
		Script: readbackScript, Keys: h.keys,
		Args: []any{from.String(), count + 1}, // from itself is one of them
	})
	reply, err := cmd.Slice()
	if err != nil {
		return page{}, err
	}
	p, ok := parsePage(reply)
	if !ok {
		return page{}, sender.ErrReply
	}
	p.end = len(p.entries) <= count
	if p.found {
		p.entries = p.entries[1:]
	}
	return p, nil
}

// has reports whether the history has the message at p. One round trip.
func (h *historian) has(ctx context.Context, p position) (bool, error) {
	page, err := h.read(ctx, p, 0)
	return page.found || page.newest == p, err
}

func parsePage(reply []any) (p page, ok bool) {
	if len(reply) != 3 {
		return p, false
	}
	newest, ok1 := reply[0].(string)
	found, ok2 := reply[1].(int64)
	entries, ok3 := reply[2].([]any)
	if !ok1 || !ok2 || !ok3 {
		return p, false
	}
	if p.newest, ok = parsePosition(newest); !ok && newest != "" {
		return p, false
	}
	p.found = found == 1
	for _, entry := range entries {
		e, ok := parseKept(entry)
		if !ok {
			return p, false
		}
		p.entries = append(p.entries, e)
	}
	return p, !p.found || len(p.entries) > 0
}

func parseKept(entry any) (e kept, ok bool) {
	parts, _ := entry.([]any)
	if len(parts) != 2 {
		return e, false
	}
	id, _ := parts[0].(string)
	fields, _ := parts[1].([]any)
	if len(fields) != 4 {
		return e, false
	}
	before, ok1 := fields[1].(string)
	payload, ok2 := fields[3].(string)
	if e.at, ok = parsePosition(id); !ok || !ok1 || !ok2 {
		return e, false
	}
	e.before, ok = parsePosition(before)
	e.payload, e.size = payload, len(payload)
	return e, ok || before == ""
}
