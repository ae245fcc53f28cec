package redistest

import (
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestRoundTripsAreCountedWithoutHandshakes(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T, s *Server) {
		ctx, key := t.Context(), s.Prefix()
		rdb := s.Client(func(o *redis.Options) { o.ClientName = "counted" })
		trips := Trips(rdb)
		rdb.Get(ctx, key)
		if n := trips.Take(); n != 1 {
			t.Errorf("%d round trips for the first GET", n)
		}
		rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.Set(ctx, key, 1, 0)
			p.Incr(ctx, key)
			return nil
		})
		rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Incr(ctx, key)
			return nil
		})
		rdb.MGet(ctx, key, key)
		if n := trips.Take(); n != 3 {
			t.Errorf("%d round trips for a pipeline, a transaction and an MGET", n)
		}
		if n := trips.Take(); n != 0 {
			t.Errorf("%d round trips for nothing", n)
		}
	})
}

func TestRoundTripsAreCountedForEachNodeOfACluster(t *testing.T) {
	startsReal(t)
	cluster := StartCluster(t, 3)
	ctx, rdb := t.Context(), cluster.Client()
	trips := Trips(rdb)
	for _, key := range []string{"a", "b", "c"} { // on three nodes
		if err := rdb.Get(ctx, key).Err(); err != redis.Nil {
			t.Fatal(err)
		}
	}
	if perNode := trips.TakePerNode(); len(perNode) != 3 {
		t.Errorf("round trips %v", perNode)
	} else {
		for _, addr := range cluster.Addrs() {
			if perNode[addr] != 1 {
				t.Errorf("%d round trips to %s", perNode[addr], addr)
			}
		}
	}
	rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, key := range []string{"a", "b", "c", "{a}1", "{b}1"} {
			p.Get(ctx, key)
		}
		return nil
	})
	if n := trips.Take(); n != 3 {
		t.Errorf("%d round trips for a pipeline over three nodes", n)
	}
}
