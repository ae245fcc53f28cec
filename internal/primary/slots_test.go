package primary

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// view returns what a node says: its epochs, and the owner of the slots 0–9 and 10–19.
func saysOf(id string, epochs map[string]int64, low, high string) nodeAnswer {
	slots := func(start int, owner string) redis.ClusterSlot {
		return redis.ClusterSlot{Start: start, End: start + 9, Nodes: []redis.ClusterNode{{ID: owner, Addr: owner + ":1"}}}
	}
	a := nodeAnswer{asked: id + ":1", id: id, epochs: epochs}
	if low != "" {
		a.ranges = append(a.ranges, slots(0, low))
	}
	if high != "" {
		a.ranges = append(a.ranges, slots(10, high))
	}
	return a
}

func TestTheClaimWithTheGreatestEpochOwnsASlot(t *testing.T) {
	t.Parallel()
	before := map[string]int64{"a": 1, "b": 2}
	promoted := map[string]int64{"a": 1, "b": 2, "a2": 3}
	for _, test := range []struct {
		name     string
		answers  []nodeAnswer
		want     string
		majority bool
	}{
		{"all agree", []nodeAnswer{saysOf("a", before, "a", "b"), saysOf("b", before, "a", "b")}, "0-9 a 10-19 b", true},
		{"a replica was promoted, the old primary is cut off", []nodeAnswer{saysOf("a", before, "a", "b"), saysOf("b", promoted, "a2", "b"), saysOf("a2", promoted, "a2", "b")}, "0-9 a2 10-19 b", true},
		{"only one of two owners answers", []nodeAnswer{saysOf("a", before, "a", "b")}, "0-9 a 10-19 b", false},
		{"two claim the high ones", []nodeAnswer{saysOf("a", before, "a", "a"), saysOf("b", before, "a", "b")}, "0-9 a 10-19 b", true},
		{"nobody owns the high ones", []nodeAnswer{saysOf("a", before, "a", "")}, "0-9 a", true},
		{"nobody owns any", []nodeAnswer{saysOf("a", before, "", "")}, "", false},
		{"no epochs: most views", []nodeAnswer{
			{asked: "a:1", ranges: saysOf("a", nil, "a", "b").ranges},
			{asked: "b:1", ranges: saysOf("b", nil, "a2", "b").ranges},
			{asked: "a2:1", ranges: saysOf("a2", nil, "a2", "b").ranges},
		}, "0-9 a2 10-19 b", true},
	} {
		m := merge(test.answers)
		var got []string
		for _, r := range m.slots {
			got = append(got, fmt.Sprintf("%d-%d %s", r.Start, r.End, r.Nodes[0].ID))
		}
		if text := strings.Join(got, " "); text != test.want || m.majority != test.majority {
			t.Errorf("%s: %q, majority %v", test.name, text, m.majority)
		}
	}
}

// The owner that answers, and does not claim a slot, has given it away, whatever others
// say about it.
func TestAnOwnerThatGaveASlotAwayDoesNotOwnIt(t *testing.T) {
	t.Parallel()
	m := merge([]nodeAnswer{
		saysOf("a", map[string]int64{"a": 9, "b": 5}, "b", "b"),
		saysOf("b", map[string]int64{"a": 9, "b": 5}, "b", "b"),
		saysOf("c", map[string]int64{"a": 9, "b": 5}, "a", "b"), // has not heard
	})
	if len(m.slots) != 1 || m.slots[0].Nodes[0].ID != "b" {
		t.Errorf("%v", m.slots)
	}
}

func TestANodeWithoutAHostIsWhereTheAskedOneIs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		asked, host string
		port        int64
		want        string
	}{
		{"10.0.0.1:7000", "10.0.0.2", 7001, "10.0.0.2:7001"},
		{"10.0.0.1:7000", "", 7001, "10.0.0.1:7001"},
		{"10.0.0.1:7000", "?", 7001, "10.0.0.1:7001"},
		{"redis.example:7000", "127.0.0.1", 7001, "redis.example:7001"},
		{"127.0.0.1:7000", "127.0.0.1", 7001, "127.0.0.1:7001"},
		{"10.0.0.1:7000", "10.0.0.2", 0, "10.0.0.2:7000"},
		{"[::1]:7000", "::1", 7001, "[::1]:7001"},
	} {
		if got := address(test.asked, test.host, test.port); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
}

func TestANodeIsReadFromWhatServersSend(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		about []any
		want  redis.ClusterNode
	}{
		"address":           {[]any{"10.0.0.1", int64(7000), "id"}, redis.ClusterNode{Addr: "10.0.0.1:7000", ID: "id"}},
		"IPv6":              {[]any{"2001:db8::1", int64(7000)}, redis.ClusterNode{Addr: "[2001:db8::1]:7000"}},
		"no host":           {[]any{nil, int64(7000), "id"}, redis.ClusterNode{Addr: "asked:7000", ID: "id"}},
		"no name but an ip": {[]any{"?", int64(7000), "id", []any{"ip", "10.0.0.2"}}, redis.ClusterNode{Addr: "10.0.0.2:7000", ID: "id"}},
	} {
		got, ok := parseRange("asked:6379", []any{int64(0), int64(9), test.about})
		if !ok || len(got.Nodes) != 1 || got.Nodes[0].Addr != test.want.Addr || got.Nodes[0].ID != test.want.ID {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
}

func TestARedirectionWithoutAHostLeadsToTheHostThatWasAsked(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	var dialled string
	cfg.Dial = func(_ context.Context, _, addr string) (net.Conn, error) {
		dialled = addr
		return nil, net.ErrClosed
	}
	c := NewCluster(cfg)
	c.apply(merge([]nodeAnswer{{asked: "seed:6379"}}), time.Now())
	for addr, want := range map[string]string{":7000": "seed:7000", "?:7000": "seed:7000", "10.0.0.1:7000": "10.0.0.1:7000"} {
		if _, _ = c.Dial(t.Context(), "tcp", addr); dialled != want {
			t.Errorf("%s is dialled at %s, want %s", addr, dialled, want)
		}
	}
}

func TestAReplyOfAnotherShapeIsAnError(t *testing.T) {
	t.Parallel()
	owner := []any{"h", int64(1), "id"}
	for _, entry := range []any{
		nil, "x", []any{}, []any{int64(0), int64(1)},
		[]any{int64(1), int64(0), owner}, []any{int64(-1), int64(0), owner}, []any{int64(0), int64(allSlots), owner},
		[]any{"0", int64(1), owner}, []any{int64(0), int64(1), "h"}, []any{int64(0), int64(1), []any{"h"}}, []any{int64(0), int64(1), []any{"h", "1"}},
	} {
		if r, ok := parseRange("a:1", entry); ok {
			t.Errorf("%v was read as %v", entry, r)
		}
	}
}
