package gateway

import (
	"fmt"
	"testing"
	"time"
)

func TestATallyIsBounded(t *testing.T) {
	t.Parallel()
	var tally tally
	for i := range 3 * maxSpeakers {
		tally.allow(fmt.Sprint(i))
	}
	tally.deny("one more", time.Now())
	if n := len(tally.speakers); n != maxSpeakers {
		t.Errorf("%d speakers are counted by name, want %d", n, maxSpeakers)
	}
	top := tally.top()
	if len(top) != shownSpeakers || top[0].ID != "" || top[0].Allowed != 2*maxSpeakers || top[0].Denied != 1 {
		t.Errorf("of %d lines the first is %+v", len(top), top[0])
	}
}

func TestFewDenialsAreToldInASecond(t *testing.T) {
	t.Parallel()
	var tally tally
	now := time.Unix(1000, 0)
	told := func(id string) (n int) {
		for range 10 {
			if tally.deny(id, now) {
				n++
			}
		}
		return n
	}
	if n := told("a"); n != tellsPerID {
		t.Errorf("%d of one speaker were told", n)
	}
	all := tellsPerID
	for i := range 50 {
		all += told(fmt.Sprint(i))
	}
	if all != tellsPerAll {
		t.Errorf("%d of all speakers were told, want %d", all, tellsPerAll)
	}
	now = now.Add(time.Second)
	if n := told("a"); n != tellsPerID {
		t.Errorf("in the next second %d were told", n)
	}
}
