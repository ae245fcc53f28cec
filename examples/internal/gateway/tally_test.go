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
		t.Errorf("%d speakers are counted one by one, want %d", n, maxSpeakers)
	}
	top := tally.top()
	others := top[len(top)-1]
	if len(top) != shownSpeakers+1 || others.ID != "" || others.Allowed != 3*maxSpeakers-shownSpeakers || others.Denied != 1 {
		t.Errorf("of %d lines the last is %+v", len(top), others)
	}
	for _, s := range top[:shownSpeakers] {
		if s.ID == "" || s.Allowed != 1 {
			t.Errorf("a line is %+v", s)
		}
	}
}

func TestATallyShowsTheMostDeniedFirst(t *testing.T) {
	t.Parallel()
	var tally tally
	for i := range shownSpeakers {
		tally.allow(fmt.Sprint(i))
	}
	tally.deny("eager", time.Now())
	top := tally.top()
	if top[0].ID != "eager" || len(top) != shownSpeakers+1 || top[shownSpeakers].Allowed != 1 {
		t.Errorf("the lines are %+v", top)
	}
}

func TestFewDenialsArePublishedInASecond(t *testing.T) {
	t.Parallel()
	var tally tally
	now := time.Unix(1000, 0)
	published := func(id string) (n int) {
		for range 10 {
			if tally.deny(id, now) {
				n++
			}
		}
		return n
	}
	if n := published("a"); n != publishedPerSpeaker {
		t.Errorf("%d denials of one speaker were published, want %d", n, publishedPerSpeaker)
	}
	all := publishedPerSpeaker
	for i := range 50 {
		all += published(fmt.Sprint(i))
	}
	if all != publishedPerSecond {
		t.Errorf("%d denials of all speakers were published, want %d", all, publishedPerSecond)
	}
	now = now.Add(time.Second)
	if n := published("a"); n != publishedPerSpeaker {
		t.Errorf("in the next second %d denials of one speaker were published, want %d", n, publishedPerSpeaker)
	}
}
