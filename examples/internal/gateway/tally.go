package gateway

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
)

// The bounds of a tally: speakers' ids are whatever clients send.
const (
	maxSpeakers   = 1000 // who are counted by name; the others are counted together
	shownSpeakers = 30   // likewise, of those
	tellsPerID    = 3    // denials of a speaker that are published in a second
	tellsPerAll   = 20
)

// A tally counts what this gateway allowed and denied, by speaker.
type tally struct {
	mu       sync.Mutex
	speakers map[string]*speaker
	others   speaker
	told     rate
}

// A speaker is a line of a tally.
type speaker struct {
	ID      string `json:"id"` // empty for all others
	Allowed uint64 `json:"allowed"`
	Denied  uint64 `json:"denied"`
	told    rate
}

// A rate counts what happens within one second.
type rate struct {
	second int64
	n      int
}

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

// deny counts a denial, and says whether it should be told: a flood of
// requests must not become a flood of events.
func (t *tally) deny(id string, now time.Time) (tell bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.of(id)
	s.Denied++
	if !s.told.below(tellsPerID, now) || !t.told.below(tellsPerAll, now) {
		return false
	}
	s.told.n++
	t.told.n++
	return true
}

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

// top returns the lines with the most denials, then with the most requests.
// The last one is that of all others, if there are any.
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
