package pubsub_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/pubsub"
)

func TestAPatternOnAClusterHearsEachMessageOnce(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	rdb := cluster.Client()
	hub, err := pubsub.ListenPattern[int](within(t), rdb, "updates:*", pubsub.Config{Buffer: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	sub := hub.Subscribe()
	channels := channelsOf("updates:", 3)
	const each = 40
	for n := range each {
		for _, channel := range channels {
			if n%2 == 0 { // another program, at any node
				node := cluster.Nodes()[(ownerOf(channel)+n/2)%3].Client()
				if err := node.Publish(t.Context(), channel, fmt.Sprint(n)).Err(); err != nil {
					t.Fatal(err)
				}
				node.Close()
			} else {
				publish(t, newTopic[int](t, rdb, channel), n)
			}
		}
	}
	count := map[string][]int{}
	for range each * len(channels) {
		m, err := sub.Next(within(t))
		if err != nil {
			t.Fatal(err)
		}
		count[m.Channel] = append(count[m.Channel], m.Value)
	}
	for _, channel := range channels { // all that is under way to the hub comes before these
		publish(t, newTopic[int](t, rdb, channel), each)
	}
	for range channels {
		if m, err := sub.Next(within(t)); err != nil || m.Value != each {
			t.Errorf("got %+v, %v", m, err)
		}
	}
	for _, channel := range channels {
		got := count[channel]
		slices.Sort(got) // the nodes keep no order between them
		if len(slices.Compact(got)) != each {
			t.Errorf("%s: %v", channel, got)
		}
	}
	if got := hub.Stats(); got.Reconnects != 0 || got.Gaps != 0 {
		t.Errorf("stats = %+v", got)
	}
}

// A pattern's hub has lost one of its connections.
func TestAPatternOnAClusterTellsTheGapOfEachConnection(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	rdb := cluster.Client(func(o *redis.ClusterOptions) { o.ClientName = "hub" })
	hub, err := pubsub.ListenPattern[int](within(t), rdb, "updates:*", pubsub.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	sub := hub.Subscribe()
	for i, channel := range channelsOf("updates:", 1) {
		node := cluster.Nodes()[ownerOf(channel)].Client()
		killListeners(t, node, "hub")
		expect(t, sub, "gap 0")
		publish(t, newTopic[int](t, rdb, channel), i)
		expect(t, sub, fmt.Sprint(i))
	}
}

func TestAPatternOnAClusterEndsWithItsClient(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	rdb := cluster.Client(func(o *redis.ClusterOptions) { o.ClientName = "hub" })
	hub, err := pubsub.ListenPattern[int](within(t), rdb, "updates:*", pubsub.Config{})
	if err != nil {
		t.Fatal(err)
	}
	sub := hub.Subscribe()
	rdb.Close()
	killListeners(t, cluster.Nodes()[0].Client(), "hub")
	if _, err := sub.Next(within(t)); !errors.Is(err, pubsub.ErrClientClosed) {
		t.Errorf("Next: %v", err)
	}
	if err := hub.Close(); err != nil {
		t.Error(err)
	}
	if _, err := pubsub.ListenPattern[int](within(t), rdb, "updates:*", pubsub.Config{}); !errors.Is(err, pubsub.ErrClientClosed) {
		t.Errorf("ListenPattern: %v", err)
	}
}
