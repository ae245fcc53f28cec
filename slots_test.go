package rediskit

import (
	"context"
	"net"
	"reflect"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestParseSlotsReadsWhatServersSend(t *testing.T) {
	t.Parallel()
	one := func(node ...any) []any { return []any{[]any{int64(0), int64(9), node}} }
	for name, test := range map[string]struct {
		reply []any
		want  redis.ClusterNode
	}{
		"address":           {one("10.0.0.1", int64(7000), "id"), redis.ClusterNode{Addr: "10.0.0.1:7000", ID: "id"}},
		"IPv6":              {one("::1", int64(7000)), redis.ClusterNode{Addr: "[::1]:7000"}},
		"no host":           {one(nil, int64(7000), "id"), redis.ClusterNode{Addr: "asked:7000", ID: "id"}},
		"own host unknown":  {one("", int64(7000)), redis.ClusterNode{Addr: "asked:7000"}},
		"TLS only":          {one("10.0.0.1", int64(0)), redis.ClusterNode{Addr: "10.0.0.1:0"}},
		"no host name":      {one("?", int64(7000)), redis.ClusterNode{Addr: "asked:7000"}},
		"no name but an ip": {one("?", int64(7000), "id", []any{"ip", "10.0.0.2"}), redis.ClusterNode{Addr: "10.0.0.2:7000", ID: "id", NetworkingMetadata: map[string]string{"ip": "10.0.0.2"}}},
		"RESP3":             {one("?", int64(7000), "id", map[any]any{"ip": "10.0.0.2"}), redis.ClusterNode{Addr: "10.0.0.2:7000", ID: "id", NetworkingMetadata: map[string]string{"ip": "10.0.0.2"}}},
	} {
		got, err := parseSlots(test.reply, "asked")
		want := []redis.ClusterSlot{{Start: 0, End: 9, Nodes: []redis.ClusterNode{test.want}}}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
	for name, reply := range map[string][]any{
		"text": {"x"}, "short": {[]any{int64(0)}}, "no numbers": {[]any{"a", "b"}}, "no node": one(), "no list": {[]any{int64(0), int64(1), "x"}},
	} {
		if got, err := parseSlots(reply, "asked"); err != errNoSlots {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if got, err := parseSlots(nil, "asked"); len(got) != 0 || err != nil {
		t.Errorf("no slots: %v, %v", got, err)
	}
}

func TestARedirectionWithoutAHostLeadsToTheHostThatWasAsked(t *testing.T) {
	t.Parallel()
	asked := new(atomic.Pointer[string])
	dialled := func(addr string) (to string) {
		hook := slotsHook{addr, asked}.DialHook(func(_ context.Context, _, addr string) (net.Conn, error) {
			to = addr
			return nil, nil
		})
		_, _ = hook(t.Context(), "tcp", addr)
		return to
	}
	answer := slotsHook{"seed:6379", asked}.ProcessHook(func(_ context.Context, cmd redis.Cmder) error {
		cmd.(*redis.SliceCmd).SetVal([]any{[]any{int64(0), int64(9), []any{nil, int64(6379)}}})
		return nil
	})
	if err := answer(t.Context(), redis.NewClusterSlotsCmd(t.Context(), "cluster", "slots")); err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]string{
		":7000": "seed:7000", "?:7000": "seed:7000", "10.0.0.1:7000": "10.0.0.1:7000", "/run/redis.sock": "/run/redis.sock",
	} {
		if got := dialled(addr); got != want {
			t.Errorf("%s is dialled at %s, want %s", addr, got, want)
		}
	}
}
