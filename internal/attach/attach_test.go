package attach_test

import (
	"context"
	"net"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/attach"
)

func TestAValueIsFoundByItsTypeAndNothingIsSent(t *testing.T) {
	t.Parallel()
	dialled := func(context.Context, string, string) (net.Conn, error) {
		t.Error("a connection was dialled")
		return nil, net.ErrClosed
	}
	type one struct{ n int }
	type other struct{}
	single := redis.NewClient(&redis.Options{Dialer: dialled})
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"a:1"}, Dialer: dialled})
	for _, rdb := range []redis.UniversalClient{single, cluster} {
		defer rdb.Close()
		if _, ok := attach.Of[*one](rdb); ok {
			t.Errorf("%T: nothing was attached", rdb)
		}
		attach.To(rdb, &one{7})
		attach.To(rdb, other{})
		if v, ok := attach.Of[*one](rdb); !ok || v.n != 7 {
			t.Errorf("%T: %+v, %v", rdb, v, ok)
		}
		if _, ok := attach.Of[other](rdb); !ok {
			t.Errorf("%T: the second value is not found", rdb)
		}
		if _, ok := attach.Of[string](rdb); ok {
			t.Errorf("%T: a string is found", rdb)
		}
	}
	ring := redis.NewRing(&redis.RingOptions{})
	defer ring.Close()
	if _, ok := attach.Of[*one](ring); ok {
		t.Error("a Ring has a value")
	}
}
