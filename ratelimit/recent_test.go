package ratelimit

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestALongIDIsRememberedByItsDigestAlone(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := newRecent[int](10)
	long := strings.Repeat("x", 1<<20)
	for i, id := range []string{"a", long, long + "y", long[:maxID], long[:maxID+1]} {
		r.put(id, entry[int]{i, now.Add(time.Minute)}, now)
	}
	for i, id := range []string{"a", long, long + "y", long[:maxID], long[:maxID+1]} {
		if e, ok := r.get(id, now); !ok || e.value != i {
			t.Errorf("id %d: got %d, %v", i, e.value, ok)
		}
	}
	for id := range r.entries {
		if len(id) > maxID {
			t.Errorf("an id of %d bytes is kept", len(id))
		}
	}
	r.forget(long)
	if _, ok := r.get(long, now); ok || len(r.entries) != 4 {
		t.Errorf("%d are left of 5 after one was forgotten", len(r.entries))
	}
}

func TestTheIDsOfLocalLimitsAreBounded(t *testing.T) {
	t.Parallel()
	l := newLocal([]Policy{PerHour(1)})
	l.ids.size = 100
	for i := range 1000 {
		if res := l.ask(fmt.Sprint(i), 1); !res.Allowed {
			t.Errorf("id %d: %+v", i, res)
		}
	}
	if n := len(l.ids.entries); n != 100 {
		t.Errorf("%d ids are kept, though there is room for 100", n)
	}
	if res := l.ask("999", 1); res.Allowed {
		t.Error("the newest id was forgotten at once")
	}
}
