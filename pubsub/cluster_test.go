package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/pubsub"
)

// ownerOf returns the index of the first of three primaries' nodes that has the channel's
// slot.
func ownerOf(channel string) int { return keys.Slot(channel) * 3 / keys.Slots }

// channelsOf returns n channels of each of three primaries, named prefix and a number.
func channelsOf(prefix string, n int) []string {
	var channels []string
	var have [3]int
	for i := 0; len(channels) < 3*n; i++ {
		channel := fmt.Sprint(prefix, i)
		if owner := ownerOf(channel); have[owner] < n {
			have[owner]++
			channels = append(channels, channel)
		}
	}
	return channels
}

// listeners returns how many connections listen to channel at a node.
func listeners(t testing.TB, node *redistest.Process, channel string) int64 {
	t.Helper()
	rdb := node.Client()
	defer rdb.Close()
	return rdb.PubSubNumSub(t.Context(), channel).Val()[channel]
}

// A change is what happens to the owner of a channel's slot. It returns once the old owner
// knows the new one.
var changes = map[string]func(t *testing.T, cluster *redistest.Cluster, channel string){
	"a failover": func(t *testing.T, cluster *redistest.Cluster, channel string) {
		primary := cluster.Nodes()[ownerOf(channel)]
		replica := cluster.AddReplica(primary)
		owner, rdb := primary.Client(), replica.Client()
		defer owner.Close()
		defer rdb.Close()
		id := owner.Do(t.Context(), "cluster", "myid").Val().(string)
		for _, node := range cluster.Nodes() { // the primary, and those that vote
			admin := node.Client()
			redistest.Eventually(t, func() bool {
				replicas, err := admin.Do(t.Context(), "cluster", "replicas", id).StringSlice()
				return err == nil && len(replicas) == 1
			}, "every node knows the replica")
			admin.Close()
		}
		if err := rdb.ClusterFailover(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		redistest.Eventually(t, func() bool {
			return strings.Contains(rdb.Info(t.Context(), "replication").Val(), "role:master")
		}, "the replica is promoted")
	},
	"a slot that moves": func(t *testing.T, cluster *redistest.Cluster, channel string) {
		from := ownerOf(channel)
		rdb := cluster.Client()
		defer rdb.Close()
		for i := range 100 { // so that the move takes a while
			if err := rdb.Set(t.Context(), keys.Sibling(fmt.Sprint("busy", i), channel), "x", time.Minute).Err(); err != nil {
				t.Fatal(err)
			}
		}
		cluster.MoveBusySlots(cluster.Nodes()[from], cluster.Nodes()[(from+1)%3])
	},
}

// A publisher and a hub have clients of their own: the hub learns from its own map alone.
func TestEachConfirmedMessageIsReceivedOrInAGapWhenTheOwnerChanges(t *testing.T) {
	t.Parallel()
	for name, change := range changes {
		for kind, listen := range map[string]func(ctx context.Context, rdb redis.UniversalClient, channel string, cfg pubsub.Config) (*pubsub.Hub[int], error){
			"channel": func(ctx context.Context, rdb redis.UniversalClient, channel string, cfg pubsub.Config) (*pubsub.Hub[int], error) {
				topic, err := pubsub.NewTopic[int](rdb, channel, cfg)
				if err != nil {
					return nil, err
				}
				return topic.Listen(ctx)
			},
			"pattern": func(ctx context.Context, rdb redis.UniversalClient, _ string, cfg pubsub.Config) (*pubsub.Hub[int], error) {
				cfg.ProbeEvery = 0
				return pubsub.ListenPattern[int](ctx, rdb, "updates:*", cfg)
			},
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				cluster := redistest.StartCluster(t, 3)
				channels := channelsOf("updates:", 1)
				if kind == "channel" {
					channels = channels[:1]
				}
				theirs := cluster.Client()
				hub, err := listen(within(t), theirs, channels[0], pubsub.Config{Buffer: 1 << 20, ProbeEvery: 200 * time.Millisecond})
				if err != nil {
					t.Fatal(err)
				}
				defer hub.Close()
				logs := map[string][]int{} // by channel; -1 is a gap
				var heardLast sync.Map
				var reading sync.WaitGroup
				sub := hub.Subscribe()
				reading.Go(func() {
					for m, err := range sub.All(context.Background()) {
						if gap := (*pubsub.GapError)(nil); errors.As(err, &gap) {
							for _, channel := range channels {
								logs[channel] = append(logs[channel], -1)
							}
						} else if err != nil {
							t.Error(err)
						} else {
							logs[m.Channel] = append(logs[m.Channel], m.Value)
							if m.Value == 1<<30 {
								heardLast.Store(m.Channel, true)
							}
						}
					}
				})

				var confirmed sync.Map // the number of a message, by channel
				var publishing sync.WaitGroup
				var stop atomic.Bool
				var last [3]int
				ours := cluster.Client()
				for i, channel := range channels {
					topic := newTopic[int](t, ours, channel)
					publishing.Go(func() {
						for n := 0; !stop.Load(); n++ {
							if _, err := topic.Publish(t.Context(), n); err == nil {
								confirmed.Store(fmt.Sprint(channel, n), true)
							}
							last[i] = n
							time.Sleep(100 * time.Microsecond)
						}
					})
				}
				change(t, cluster, channels[0])
				if kind == "pattern" { // which has no probe to ask for the map; else another call would
					theirs.ReloadState(t.Context())
				}
				redistest.Eventually(t, func() bool { return hub.Stats().Reconnects > 0 }, "the hub has followed")
				stop.Store(true)
				publishing.Wait()
				for _, channel := range channels {
					topic := newTopic[int](t, ours, channel)
					redistest.Eventually(t, func() bool {
						if _, err := topic.Publish(t.Context(), 1<<30); err != nil {
							return false
						}
						time.Sleep(10 * time.Millisecond)
						_, heard := heardLast.Load(channel)
						return heard
					}, "the last message comes")
				}
				if err := hub.Shutdown(within(t)); err != nil {
					t.Error(err)
				}
				reading.Wait()

				for i, channel := range channels {
					next, gapped, gaps := 0, false, 0
					for _, n := range logs[channel] {
						switch {
						case n == 1<<30 && next > n:
							continue
						case n == -1:
							gapped = true
							gaps++
							continue
						case n < next && !gapped:
							t.Errorf("%d came again, or late, after %d", n, next-1)
						}
						for missed := next; missed < min(n, last[i]) && !gapped; missed++ {
							if _, ok := confirmed.Load(fmt.Sprint(channel, missed)); ok {
								t.Errorf("%d was confirmed and is missing without a gap, before %d", missed, n)
							}
						}
						next, gapped = n+1, false
					}
					if next != 1<<30+1 {
						t.Errorf("the last message was %d", next-1)
					}
					if gaps != 1 {
						t.Errorf("%d gaps", gaps)
					}
				}
			})
		}
	}
}

func TestOnAClusterAHubListensAtTheOwnerAlone(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	for _, channel := range channelsOf("updates:", 2) {
		listen(t, newTopic[int](t, cluster.Client(), channel))
		for i, node := range cluster.Nodes() {
			if n := listeners(t, node, channel); n == 1 != (i == ownerOf(channel)) {
				t.Errorf("%d connections listen at node %d, though the owner is %d", n, i, ownerOf(channel))
			}
		}
	}
}

func TestAHubWhoseOwnerHasGoneGoesToNoOther(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3, "--cluster-require-full-coverage", "no")
	const channel = "conversation:updates"
	rdb := cluster.Client()
	var reported redistest.Recorder
	topic := newTopic[int](t, rdb, channel, func(cfg *pubsub.Config) { cfg.OnError = reported.OnError })
	sub := listen(t, topic).Subscribe()
	publish(t, topic, 1)
	expect(t, sub, "1")
	owner := cluster.Nodes()[ownerOf(channel)]
	owner.Kill()
	redistest.Eventually(t, func() bool { return len(reported.All()) > 3 }, "it has tried again")
	for _, node := range cluster.Nodes() {
		if node != owner && listeners(t, node, channel) > 0 {
			t.Error("the hub listens at another node")
		}
	}
	owner.Restart()
	expect(t, sub, "gap 0")
	redistest.Eventually(t, func() bool { n, _ := topic.Publish(t.Context(), 2); return n == 1 }, "published")
	expect(t, sub, "2")
}

func TestOnAClusterHubsHaveAProbeUnlessItIsSwitchedOff(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	for _, channel := range []string{"conversation:updates", "odd{}{channel}"} {
		for name, test := range map[string]struct {
			rdb  redis.UniversalClient
			cfg  pubsub.Config
			want int
		}{
			"by default":     {cluster.Client(), pubsub.Config{}, 1},
			"with a time":    {cluster.Client(), pubsub.Config{ProbeEvery: time.Hour}, 1},
			"switched off":   {cluster.Client(), pubsub.Config{NoProbe: true}, 0},
			"on one server":  {redistest.Start(t).Client(), pubsub.Config{}, 0},
			"there, at will": {redistest.Start(t).Client(), pubsub.Config{ProbeEvery: time.Hour}, 1},
		} {
			topic, err := pubsub.NewTopic[int](test.rdb, channel, test.cfg)
			if err != nil {
				t.Fatal(err)
			}
			hub := listen(t, topic)
			server := test.rdb
			if c, ok := server.(*redis.ClusterClient); ok {
				if server, err = c.MasterForKey(t.Context(), channel); err != nil {
					t.Fatal(err)
				}
			}
			probes := server.PubSubChannels(t.Context(), "rediskit:probe:*").Val()
			if len(probes) != test.want {
				t.Errorf("%s: the owner has the probes %q, want %d", name, probes, test.want)
			}
			for _, probe := range probes {
				if keys.Slot(probe) != keys.Slot(channel) {
					t.Errorf("%s: the probe %q is in another slot than its channel", name, probe)
				}
			}
			hub.Close()
		}
	}
}

// Nobody asked for the probe, so a user who may not have one listens all the same.
func TestAHubOnAClusterListensThoughItsProbeIsRefused(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 1)
	admin := cluster.Nodes()[0].Client()
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "u", "on", ">p", "+@all", "~*", "resetchannels", "&ch").Err(); err != nil {
		t.Fatal(err)
	}
	rdb := cluster.Client(func(o *redis.ClusterOptions) { o.Username, o.Password = "u", "p" })
	var reported redistest.Recorder
	topic := newTopic[int](t, rdb, "ch", func(cfg *pubsub.Config) { cfg.OnError = reported.OnError })
	sub := listen(t, topic).Subscribe()
	publish(t, topic, 1)
	expect(t, sub, "1")
	if !reported.Has("pubsub: probe ch: NOPERM") {
		t.Errorf("OnError received %v", reported.All())
	}
	asked := newTopic[int](t, rdb, "ch", func(cfg *pubsub.Config) { cfg.ProbeEvery = time.Second })
	if hub, err := asked.Listen(within(t)); !redis.IsPermissionError(err) {
		t.Errorf("Listen: %v, %v", hub, err)
	}
}
