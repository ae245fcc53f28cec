package gateway

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
)

// The bounds of a tally. It needs them because clients may send any speaker ids.
const (
	maxSpeakers         = 1000 // speakers that are counted one by one; the others are counted together
	shownSpeakers       = 30   // speakers that top returns one by one; the others are added up
	publishedPerSpeaker = 3    // denials of one speaker that are published in a second
	publishedPerSecond  = 20   // denials of all speakers that are published in a second
)

// A tally counts the messages that this gateway allowed and denied, by speaker.
type tally struct {
	mu        sync.Mutex
	speakers  map[string]*speaker
	others    speaker
	published rate
}

// A speaker has the counts of one speaker.
type speaker struct {
	ID        string `json:"id"` // empty for all others together
	Allowed   uint64 `json:"allowed"`
	Denied    uint64 `json:"denied"`
	published rate   // denials
}

// A rate counts events within one second.
type rate struct {
	second int64
	n      int
}

// below reports whether fewer than limit events were counted in the second of now.
func (r *rate) below(limit int, now time.Time) bool {
	if second := now.Unix(); r.second != second {
		*r = rate{second: second}
	}
	return r.n < limit
}

func (t *tally) allow(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of(id).Allowed++
}

// deny counts a denial, and reports whether it should be published. Not every denial is:
// a flood of requests must not become a flood of events.
func (t *tally) deny(id string, now time.Time) (publish bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.of(id)
	s.Denied++
	if !s.published.below(publishedPerSpeaker, now) || !t.published.below(publishedPerSecond, now) {
		return false
	}
	s.published.n++
	t.published.n++
	return true
}

// of returns the counts of a speaker. t.mu must be held.
func (t *tally) of(id string) *speaker {
	if s := t.speakers[id]; s != nil {
		return s
	}
	if len(t.speakers) == maxSpeakers {
		return &t.others
	}
	if t.speakers == nil {
		t.speakers = make(map[string]*speaker)
	}
	s := &speaker{ID: id}
	t.speakers[id] = s
	return s
}

// top returns the speakers with the most denials, then those with the most allowed
// messages. The last element adds up all others, if any were counted.
func (t *tally) top() []speaker {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]speaker, 0, len(t.speakers))
	for s := range maps.Values(t.speakers) {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b speaker) int {
		return cmp.Or(cmp.Compare(b.Denied, a.Denied), cmp.Compare(b.Allowed, a.Allowed), cmp.Compare(a.ID, b.ID))
	})
	shown := min(len(list), shownSpeakers)
	others := t.others
	for _, s := range list[shown:] {
		others.Allowed += s.Allowed
		others.Denied += s.Denied
	}
	if others.Allowed+others.Denied > 0 {
		return append(list[:shown], others)
	}
	return list[:shown]
}
