package ratelimit

import (
	"fmt"
	"testing"
)

func TestLocalKeepsALimitedNumberOfIDs(t *testing.T) {
	t.Parallel()
	l := newLocalCounts([]Policy{PerHour(1)})
	l.byID.limit = 100
	for i := range 1000 {
		if res := l.decide(fmt.Sprint(i), 1); !res.Allowed {
			t.Errorf("id %d: %+v", i, res)
		}
	}
	if n := len(l.byID.entries); n != 100 {
		t.Errorf("%d ids are kept, though there is room for 100", n)
	}
	if res := l.decide("999", 1); res.Allowed {
		t.Error("the newest id lost its count")
	}
}
