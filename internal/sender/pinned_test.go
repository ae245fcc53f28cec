package sender_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/sender"
)

// A record of the commands that each node was sent, by address.
type record struct {
	mu   sync.Mutex
	sent map[string][]string
}

func recordOf(rdb *redis.ClusterClient) *record {
	r := &record{sent: map[string][]string{}}
	rdb.OnNewNode(func(node *redis.Client) {
		addr := node.Options().Addr
		node.AddHook(hook(func(_ context.Context, cmds []redis.Cmder, next func() error) error {
			var names []string
			for _, cmd := range cmds {
				names = append(names, cmd.Name())
			}
			r.mu.Lock()
			r.sent[addr] = append(r.sent[addr], strings.Join(names, " "))
			r.mu.Unlock()
			return next()
		}))
	})
	return r
}

// of returns what was sent to a node since the last call.
func (r *record) of(node *redistest.Process) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	sent := r.sent[node.Addr()]
	delete(r.sent, node.Addr())
	return sent
}

func TestPinnedCommandsFollowTheirKeyTogether(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	ctx := t.Context()
	admin, rdb := cluster.Client(), cluster.Client()
	sent := recordOf(rdb)
	s := sender.New(rdb, false)
	call := sender.Call{Script: sender.NewScript("return redis.call('INCR', KEYS[1])")}
	run := func(key string) (n int, wait *redis.IntCmd, ttl *redis.DurationCmd) {
		t.Helper()
		wait, ttl = redis.NewIntCmd(ctx, "wait", 0, 1), redis.NewDurationCmd(ctx, time.Millisecond, "pttl", key)
		call.Keys = []string{key}
		n, err := s.Run(ctx, sender.Pinned, call, wait, ttl).Int()
		if err != nil || wait.Err() != nil || ttl.Err() != nil {
			t.Errorf("%v; WAIT: %v; PTTL: %v", err, wait.Err(), ttl.Err())
		}
		return n, wait, ttl
	}
	key := ""
	for i := 0; key == "" || keys.Slot(key)*3/keys.Slots != 0; i++ {
		key = fmt.Sprint("pinned:", i)
	}
	for _, node := range cluster.Nodes() {
		if err := node.Client().ScriptLoad(ctx, "return redis.call('INCR', KEYS[1])").Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := admin.Set(ctx, key, 0, time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	source, target := cluster.Nodes()[0], cluster.Nodes()[1]

	if n, _, ttl := run(key); n != 1 || ttl.Val() <= 0 {
		t.Errorf("ran %d times, PTTL %v", n, ttl.Val())
	}
	if got := sent.of(source); !slices.Equal(got, []string{"evalsha wait pttl"}) {
		t.Errorf("the key's primary was sent %q", got)
	}

	step := 0
	move(t, cluster, keys.Slot(key), 0, 1, func() {
		step++
		want := []string{"evalsha wait pttl"} // the key is still there
		if step == 3 {
			want = []string{"asking evalsha asking wait asking pttl"} // the key has moved, the slot has not
		}
		if n, _, ttl := run(key); n != 1+step || ttl.Val() <= 0 {
			t.Errorf("step %d: ran %d times in all, PTTL %v", step, n, ttl.Val())
		}
		asked, follows := sent.of(source), sent.of(target)
		if !slices.Equal(asked, []string{"evalsha wait pttl"}) {
			t.Errorf("step %d: the old primary was sent %q", step, asked)
		}
		if step == 3 && !slices.Equal(follows, want) || step != 3 && len(follows) > 0 {
			t.Errorf("step %d: the new primary was sent %q", step, follows)
		}
	})

	// The slot has moved, and the client does not know yet.
	if n, _, _ := run(key); n != 5 {
		t.Errorf("ran %d times in all, want 5", n)
	}
	if got := sent.of(target); !slices.Equal(got, []string{"evalsha wait pttl"}) {
		t.Errorf("the new primary was sent %q", got)
	}
	redistest.Eventually(t, func() bool {
		sent.of(source)
		run(key)
		return len(sent.of(source)) == 0
	}, "the client learns the new map")
}

func TestPublishGoesToThePrimaryOfItsChannel(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	rdb := cluster.Client()
	sent := recordOf(rdb)
	s := sender.New(rdb, false)
	for i := range 20 {
		channel := fmt.Sprint("channel:", i)
		cmd := redis.NewIntCmd(t.Context(), "publish", channel, "")
		if err := s.Do(t.Context(), sender.Pinned, channel, cmd); err != nil || cmd.Err() != nil {
			t.Fatal(err, cmd.Err())
		}
		for n, node := range cluster.Nodes() {
			if got := len(sent.of(node)); got == 1 != (n == keys.Slot(channel)*3/keys.Slots) {
				t.Errorf("node %d was sent %d commands for a channel of slot %d", n, got, keys.Slot(channel))
			}
		}
	}
}

func TestPrimariesAreAllNodesThatOwnSlots(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	var addrs, want []string
	for primary, err := range sender.Primaries(t.Context(), cluster.Client()) {
		if err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, primary.(*redis.Client).Options().Addr)
	}
	for _, node := range cluster.Nodes() {
		want = append(want, node.Addr())
	}
	slices.Sort(addrs)
	slices.Sort(want)
	if !slices.Equal(addrs, want) {
		t.Errorf("got %v, want %v", addrs, want)
	}
}

func TestPrimariesOfOneServerAreItsClient(t *testing.T) {
	t.Parallel()
	rdb := redistest.Mini(t).Client()
	n := 0
	for primary, err := range sender.Primaries(t.Context(), rdb) {
		if n++; err != nil || primary != redis.UniversalClient(rdb) {
			t.Errorf("got %v, %v", primary, err)
		}
	}
	if n != 1 {
		t.Errorf("%d primaries", n)
	}
}

func TestPrimariesOfAClusterThatDoesNotAnswerAreAnError(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{redistest.StartLater(t).Addr()}, MaxRedirects: -1})
	defer rdb.Close()
	n, failed := 0, 0
	for primary, err := range sender.Primaries(t.Context(), rdb) {
		n++
		if err != nil && primary == nil {
			failed++
		}
	}
	if n != 1 || failed != 1 {
		t.Errorf("%d elements, %d of them an error; want one", n, failed)
	}
	if primary, err := sender.PrimaryOf(t.Context(), rdb, "key"); err == nil || primary != nil {
		t.Errorf("PrimaryOf: %v, %v", primary, err)
	}
}
