package redistest

import (
	"fmt"
	"testing"
)

func TestClusterServesEverySlot(t *testing.T) {
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
		slots, err := node.Client().ClusterSlots(ctx).Result()
		if err != nil || len(slots) != 3 || slots[0].Start != 0 || slots[2].End != hashSlots-1 {
			t.Errorf("slots as %s knows them: %v, %v", node.Addr(), slots, err)
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

func TestClusterOfOneNodeIsWhole(t *testing.T) {
	startsReal(t)
	c := StartCluster(t, 1)
	if err := c.Client().Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Error(err)
	}
}
