package ratelimit

import (
	"strings"
	"testing"
	"time"
)

func TestALongIDIsKeptAsItsDigest(t *testing.T) {
	t.Parallel()
	now := time.Now()
	m := newTTLMap[int](10)
	long := strings.Repeat("x", 1<<20)
	for i, id := range []string{"a", long, long + "y", long[:maxID], long[:maxID+1]} {
		m.put(id, entry[int]{i, now.Add(time.Minute)}, now)
	}
	for i, id := range []string{"a", long, long + "y", long[:maxID], long[:maxID+1]} {
		if e, ok := m.get(id, now); !ok || e.value != i {
			t.Errorf("id %d: got %d, %v", i, e.value, ok)
		}
	}
	for id := range m.entries {
		if len(id) > maxID {
			t.Errorf("an id of %d bytes is kept", len(id))
		}
	}
	m.remove(long)
	if _, ok := m.get(long, now); ok || len(m.entries) != 4 {
		t.Errorf("%d entries are left of 5 after one was removed", len(m.entries))
	}
}
