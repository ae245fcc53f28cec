package pubsub_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/pubsub"
)

// The server passes on nothing of what it refuses.
func TestPublishIsRefusedAsAWhole(t *testing.T) {
	t.Parallel()
	primary := redistest.Start(t, "--min-replicas-to-write", "1")
	replica := redistest.Start(t, "--replicaof", "127.0.0.1 1")
	full := redistest.Start(t, "--maxmemory", "1")
	cluster := redistest.StartCluster(t, 1)
	node := cluster.Nodes()[0]
	ctx, slot := t.Context(), keys.Slot("ch")
	if err := node.Client().ClusterDelSlots(ctx, slot).Err(); err != nil {
		t.Fatal(err)
	}
	for want, test := range map[string]struct {
		rdb   redis.UniversalClient
		admin *redis.Client
		mend  func(admin *redis.Client) error
	}{
		"NOREPLICAS": {primary.Client(), primary.Client(), func(admin *redis.Client) error {
			return admin.ConfigSet(ctx, "min-replicas-to-write", "0").Err()
		}},
		"READONLY": {replica.Client(), replica.Client(), func(admin *redis.Client) error {
			return admin.ReplicaOf(ctx, "no", "one").Err()
		}},
		"CLUSTERDOWN": {cluster.Client(), node.Client(), func(admin *redis.Client) error {
			return admin.ClusterAddSlots(ctx, slot).Err()
		}},
		"OOM": {full.Client(), full.Client(), func(admin *redis.Client) error {
			return admin.ConfigSet(ctx, "maxmemory", "0").Err()
		}},
	} {
		t.Run(want, func(t *testing.T) {
			topic, kept := newTopic[int](t, test.rdb, "ch"), newTopic[int](t, test.rdb, "ch", history(100))
			if want == "OOM" { // which refuses only what needs memory
				topic = kept
			}
			heard := test.admin.Subscribe(ctx, "ch")
			defer heard.Close()
			if _, err := heard.Receive(ctx); err != nil {
				t.Fatal(err)
			}
			expectRefused(t, topic, want)
			expectRefused(t, kept, want)
			if got := topic.Stats(); got.Published != 0 || got.RedisErrors < 2 {
				t.Errorf("stats = %+v", got)
			}
			if err := test.admin.Publish(ctx, "ch", "4").Err(); err != nil {
				t.Errorf("PUBLISH of another program, which no server refuses: %v", err)
			}
			if err := test.mend(test.admin); err != nil {
				t.Fatal(err)
			}
			redistest.Eventually(t, func() bool { _, err := topic.Publish(ctx, 5); return err == nil }, "Publish works")
			for _, want := range []string{"4", "5"} {
				if m, err := heard.ReceiveMessage(within(t)); err != nil || m.Payload != want {
					t.Fatalf("heard %v, %v, want %s", m, err, want)
				}
			}
		})
	}
}

func expectRefused(t *testing.T, topic *pubsub.Topic[int], want string) {
	t.Helper()
	if _, err := topic.Publish(t.Context(), 1); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Publish: %v", err)
	}
	if err := topic.PublishAll(t.Context(), 2, 3); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("PublishAll: %v", err)
	}
}

// With these permissions nothing is denied.
func TestTheUserNeedsNoMoreThanTheDocumentationSays(t *testing.T) {
	t.Parallel()
	server, cluster := redistest.Start(t), redistest.StartCluster(t, 1)
	const publishes, listens, patterns = " +evalsha +eval +del +publish ~rediskit:* &a:1", " +subscribe +unsubscribe +ping &a:1", " +psubscribe +punsubscribe +ping &a:*"
	for name, rules := range map[string]string{
		"publishing": publishes, "listening": listens, "patterns": patterns,
		"a probe": publishes + listens + " &rediskit:probe:*",
		"history": " +evalsha +eval +publish +get +set +time +pexpire +xadd +xtrim +xrevrange ~rediskit:* &rediskit:position:*" +
			" +xrange +info" + listens,
	} {
		for _, on := range []string{"a server", "a Cluster"} {
			t.Run(name+" on "+on, func(t *testing.T) {
				admin := server.Client()
				var rdb redis.UniversalClient = server.Client(func(o *redis.Options) { o.Username, o.Password = name[:1], "p" })
				if on == "a Cluster" {
					admin = cluster.Nodes()[0].Client()
					rdb = cluster.Client(func(o *redis.ClusterOptions) { o.Username, o.Password = name[:1], "p" })
					rules += " +cluster|slots +command"
				}
				set := []any{"ACL", "SETUSER", name[:1], "reset", "on", ">p", "+hello"}
				for _, rule := range strings.Fields(rules) {
					set = append(set, rule)
				}
				if err := admin.Do(t.Context(), set...).Err(); err != nil {
					t.Fatal(err)
				}
				var reported redistest.Recorder
				cfg := pubsub.Config{OnError: reported.OnError, NoProbe: true, Liveness: 500 * time.Millisecond}
				if name == "history" {
					cfg.History.Messages = 100
				}
				if name == "a probe" {
					cfg.NoProbe, cfg.ProbeEvery = false, 20*time.Millisecond
				}
				topic, err := pubsub.NewTopic[int](rdb, "a:1", cfg)
				if err != nil {
					t.Fatal(err)
				}
				sender := topic
				if name == "listening" || name == "patterns" {
					sender = newTopic[int](t, admin, "a:1")
				}
				if name == "publishing" {
					if _, err := sender.Publish(t.Context(), 1); err != nil {
						t.Error(err)
					}
					return
				}
				var hub *pubsub.Hub[int]
				if name == "patterns" {
					hub, err = pubsub.ListenPattern[int](within(t), rdb, "a:*", cfg)
				} else {
					hub, err = topic.Listen(within(t))
				}
				if err != nil {
					t.Fatal(err)
				}
				defer hub.Close()
				sub := hub.Subscribe()
				for i := range 10 {
					publish(t, sender, i)
					expect(t, sub, fmt.Sprint(i))
					time.Sleep(20 * time.Millisecond)
				}
				if err := hub.Close(); err != nil {
					t.Error(err)
				}
				if log, err := admin.ACLLog(t.Context(), 100).Result(); err != nil || len(log) > 0 || len(reported.All()) > 0 {
					t.Errorf("denied %v, %v; OnError received %v", log, err, reported.All())
				}
			})
		}
	}
}

func TestPublishesOfManyCallersShareRoundTrips(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		// Four by themselves and one pipeline or two.
		if most := s.Crowd(t, 5, func(rdb *redis.Client) func() {
			topic := newTopic[string](t, rdb, s.Prefix()+"ch")
			return func() {
				if _, err := topic.Publish(t.Context(), "hello"); err != nil {
					t.Error(err)
				}
			}
		}); most > 7 { // and one that sends the source of the script
			t.Errorf("%d round trips at once", most)
		}
	})
}
