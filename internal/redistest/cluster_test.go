package redistest

import (
	"fmt"
	"testing"
)

func TestAClusterServesEverySlot(t *testing.T) {
	startsReal(t)
	c := StartCluster(t, 3)
	ctx, rdb := t.Context(), c.Client()
	for i := range 200 {
		if err := rdb.Set(ctx, fmt.Sprint("k", i), i, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range c.Nodes() {
		n, err := node.Client().DBSize(ctx).Result()
		if err != nil || n < 30 {
			t.Errorf("%d of 200 keys on %s, %v", n, node.Addr(), err)
		}
		shards, err := node.Client().ClusterShards(ctx).Result()
		slots := int64(0)
		for _, shard := range shards {
			for _, r := range shard.Slots {
				slots += r.End - r.Start + 1
			}
		}
		if err != nil || len(shards) != 3 || slots != hashSlots {
			t.Errorf("%s knows %d shards and %d slots, %v", node.Addr(), len(shards), slots, err)
		}
	}
	c.Nodes()[1].Restart()
	Eventually(t, func() bool {
		for i := range 200 {
			if rdb.Set(ctx, fmt.Sprint("k", i), i, 0).Err() != nil {
				return false
			}
		}
		return true
	}, "a restarted node serves its slots again")
}

func TestAClusterOfOneNodeServesEverySlot(t *testing.T) {
	startsReal(t)
	c := StartCluster(t, 1)
	if err := c.Client().Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Error(err)
	}
}
