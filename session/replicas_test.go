package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/secrets"
	"github.com/convkit/rediskit/session"
)

func replicas(n int, timeout time.Duration) func(*session.Config) {
	return func(c *session.Config) { c.Replicas.N, c.Replicas.Timeout = n, timeout }
}

// storeAt makes a store at a server of the test's own.
func storeAt(t testing.TB, rdb redis.UniversalClient, set ...func(*session.Config)) *session.Store[talk] {
	t.Helper()
	cfg := session.Config{Key: "session:*", TTL: time.Minute}
	for _, f := range set {
		f(&cfg)
	}
	store, err := session.New[talk](rdb, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// long is more time than any replica takes.
const long = 2 * time.Second

// A server without replicas makes the change all the same.
func TestAChangeThatNoReplicaHasIsUnreplicatedAndWhatChangedNothingIsNot(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		warm(t, newStore[talk](t, s))
		store := newStoreOn[talk](t, s, rdb, replicas(1, time.Millisecond))
		roundTrips := redistest.Trips(rdb)
		made := 0
		for name, a := range attempts() {
			a.arrange(t, s, name)
			roundTrips.Take()
			err := calls(t, store)[a.call](t.Context(), name)
			want := 1
			if a.call == "Update" {
				want = 2
			}
			if n := roundTrips.Take(); n != want {
				t.Errorf("%s: %d round trips, want %d", name, n, want)
			}
			if a.err == nil {
				a.err = session.ErrUnreplicated
				made++
			} else if errors.Is(err, session.ErrUnreplicated) {
				t.Errorf("%s changed nothing, and is unreplicated: %v", name, err)
			}
			a.check(t, s, name, name, err)
			if errors.Is(err, session.ErrUncertain) {
				t.Errorf("%s: %v", name, err)
			}
		}
		got := store.Stats()
		counted := got.Creates + got.Puts + got.Touches + got.Updates + got.Transitions + got.Deletes
		if got.Unreplicated != uint64(made) || counted != uint64(made) || got.RedisErrors != 0 {
			t.Errorf("%+v, want %d changes, all of them unreplicated", got, made)
		}
	})
}

func TestTheNewSessionIsReturnedBesideErrUnreplicated(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store := newStore[talk](t, s, replicas(1, time.Millisecond))
		_ = store.Create(t.Context(), "1", aTalk())
		touched, err := store.Touch(t.Context(), "1")
		updated, err2 := store.Update(t.Context(), "1", func(v *talk) error { v.N = 7; return nil })
		moved, err3 := stateOf(t, store).Transition(t.Context(), "1", waitingForLLM, answered)
		for _, err := range []error{err, err2, err3} {
			if !errors.Is(err, session.ErrUnreplicated) || !strings.HasSuffix(err.Error(), "0 of 1 did within 1ms") {
				t.Error(err)
			}
		}
		if touched.Last.IsZero() || updated.N != 7 || moved.N != 7 || moved.State != answered {
			t.Errorf("touched %+v, updated %+v, moved %+v", touched, updated, moved)
		}
		otherProgram(t, s, "no talk", "speaker_id", "user_1")
		if _, err := store.Touch(t.Context(), "no talk"); !errors.Is(err, session.ErrUnreplicated) || !errors.Is(err, session.ErrCorrupt) {
			t.Errorf("Touch of what is no talk: %v", err)
		}
	})
}

// A round of an Update that meets another writer changes nothing.
func TestOnlyTheAppliedRoundOfAnUpdateIsUnreplicated(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		store := newStoreOn[talk](t, s, rdb, replicas(1, time.Millisecond))
		warm(t, newStore[talk](t, s))
		create(t, newStore[talk](t, s), "1", aTalk())
		roundTrips := redistest.Trips(rdb)
		v, err := store.Update(t.Context(), "1", answerAfterThreeWriters(t, s, "1"))
		got := store.Stats()
		if !errors.Is(err, session.ErrUnreplicated) || errors.Is(err, session.ErrConflict) || v.N != 3 || v.State != answered {
			t.Errorf("%+v, %v", v, err)
		}
		if n := roundTrips.Take(); n != 5 || got.Unreplicated != 1 || got.Retries != 3 {
			t.Errorf("%d round trips, %+v; want 5, and 3 rounds that changed nothing", n, got)
		}
	})
}

func TestAChangeIsAcknowledgedWhenTheReplicaHasIt(t *testing.T) {
	t.Parallel()
	ctx, primary := t.Context(), redistest.Start(t)
	replica := redistest.StartReplica(t, primary)
	follower := storeAt(t, replica.Client())
	rdb := primary.Client()
	store := storeAt(t, rdb, replicas(1, long))
	warm(t, store)
	roundTrips := redistest.Trips(rdb)
	for i, c := range []struct {
		name  string
		trips int
		there bool
	}{{"Create", 1, true}, {"Touch", 1, true}, {"Update", 2, true}, {"Transition", 1, true}, {"Put", 1, true}, {"Delete", 1, false}} {
		if err := calls(t, store)[c.name](ctx, "1"); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if n := roundTrips.Take(); n != c.trips {
			t.Errorf("%s: %d round trips, want %d", c.name, n, c.trips)
		}
		want, err := store.Get(ctx, "1")
		got, err2 := follower.Get(ctx, "1")
		if got != want || (err == nil) != c.there || (err2 == nil) != c.there {
			t.Errorf("%d, %s: the primary has %+v, %v; the replica %+v, %v", i, c.name, want, err, got, err2)
		}
		roundTrips.Take()
	}

	create(t, store, "2", aTalk())
	replica.Pause()
	impatient := storeAt(t, primary.Client(), replicas(1, 50*time.Millisecond))
	v, err := impatient.Update(ctx, "2", func(v *talk) error { v.N++; return nil })
	if got, _ := store.Get(ctx, "2"); !errors.Is(err, session.ErrUnreplicated) || v.N != 1 || got != v {
		t.Errorf("with a paused replica: %+v, %v; the primary has %+v", v, err, got)
	}
	deleted := impatient.Delete(ctx, "1") // is gone here already; the replica must have that too
	replica.Resume()
	if !errors.Is(deleted, session.ErrUnreplicated) {
		t.Errorf("Delete of no session with a paused replica: %v", deleted)
	}

	// A later change acknowledges the earlier one.
	if _, err := store.Touch(ctx, "2"); err != nil {
		t.Errorf("with a resumed replica: %v", err)
	}
	if got, err := follower.Get(ctx, "2"); got.N != 1 || err != nil {
		t.Errorf("the replica has %+v, %v", got, err)
	}
}

func TestSkipTouchSendsNoWAITBehindATouch(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		for _, skip := range []bool{false, true} {
			var sent []string
			rdb := s.Client()
			store := newStoreOn[talk](t, s, rdb, replicas(1, time.Millisecond), func(c *session.Config) { c.Replicas.SkipTouch = skip })
			warm(t, newStore[talk](t, s))
			create(t, newStore[talk](t, s), fmt.Sprint(skip), aTalk())
			rdb.AddHook(redistest.Spy(func(cmd redis.Cmder) { sent = append(sent, cmd.Name()) }))
			_, err := store.Touch(t.Context(), fmt.Sprint(skip))
			if slices.Contains(sent, "wait") == skip || errors.Is(err, session.ErrUnreplicated) == skip || skip && err != nil {
				t.Errorf("SkipTouch %v: sent %v, %v", skip, sent, err)
			}
			sent = nil
			err = store.Put(t.Context(), fmt.Sprint(skip), aTalk())
			if !slices.Contains(sent, "wait") || !errors.Is(err, session.ErrUnreplicated) {
				t.Errorf("SkipTouch %v: Put sent %v, %v", skip, sent, err)
			}
		}
	})
}

// The second copy finds that the first has made the change, and writes nothing itself.
func TestTheSecondCopyWaitsForReplicasToo(t *testing.T) {
	t.Parallel()
	ctx, primary := t.Context(), redistest.Start(t)
	replica := redistest.StartReplica(t, primary)
	proxy := redistest.StartProxy(t, primary.Addr())
	client := func() *redis.Client {
		return primary.Client(func(o *redis.Options) { o.Addr, o.MaxRetries = proxy.Addr(), 3 })
	}
	patient, impatient := storeAt(t, client(), replicas(1, long)), storeAt(t, client(), replicas(1, 50*time.Millisecond))
	warm(t, patient)
	create(t, patient, "1", aTalk())
	n := 0
	for _, paused := range []bool{true, false} {
		store := patient
		if paused {
			store = impatient
			replica.Pause()
		}
		sent := proxy.Requests("EVALSHA")
		lost := proxy.DropReply("evalsha")
		v, err := store.Update(ctx, "1", func(v *talk) error { v.N++; return nil })
		<-lost
		replica.Resume()
		n++
		if errors.Is(err, session.ErrUnreplicated) != paused || !paused && err != nil || v.N != n || proxy.Requests("EVALSHA")-sent != 2 {
			t.Errorf("paused %v: %+v, %v; %d copies", paused, v, err, proxy.Requests("EVALSHA")-sent)
		}
	}
}

func TestAWAITThatFailsLeavesAChangeThatWasMade(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		plain := s.Client(func(o *redis.Options) { o.Addr = proxy.Addr() })
		_, limited := s.User("+@all -wait ~" + s.Prefix() + ":* ~rediskit:*")
		// The script needs less than this, and WAIT takes more.
		soon := func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}
		for what, c := range map[string]struct {
			rdb     *redis.Client
			timeout time.Duration
			ctx     func(context.Context) (context.Context, context.CancelFunc)
			lose    bool
			is      func(error) bool
		}{
			"its reply is lost":     {plain, 200 * time.Millisecond, context.WithCancel, true, func(err error) bool { return errors.Is(err, io.EOF) }},
			"it is not permitted":   {s.Client(limited), 200 * time.Millisecond, context.WithCancel, false, func(err error) bool { return strings.Contains(err.Error(), "NOPERM") }},
			"the context has ended": {s.Client(), long, soon, false, func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
		} {
			store := newStoreOn[talk](t, s, c.rdb, replicas(1, c.timeout))
			warm(t, newStore[talk](t, s))
			create(t, newStore[talk](t, s), what, aTalk())
			if c.lose {
				proxy.DropReply("wait")
			}
			ctx, cancel := c.ctx(t.Context())
			v, err := store.Touch(ctx, what)
			cancel()
			if !errors.Is(err, session.ErrUnreplicated) || !c.is(err) || errors.Is(err, session.ErrUncertain) || v.Speaker != "user_1" {
				t.Errorf("%s: %+v, %v", what, v, err)
			}
			if got := store.Stats(); got.Resent != 0 || got.Unreplicated != 1 {
				t.Errorf("%s: %+v", what, got)
			}
		}
	})
}

func TestOnAClusterTheReplicasOfTheSessionsPrimaryAcknowledge(t *testing.T) {
	t.Parallel()
	cluster, ctx := redistest.StartCluster(t, 2), t.Context()
	cluster.AddReplica(cluster.Nodes()[0])
	rdb := cluster.Client()
	roundTrips := redistest.Trips(rdb)
	store := storeAt(t, rdb, replicas(1, 500*time.Millisecond))
	warm(t, storeAt(t, cluster.Client()))
	var ids [2][]string // by the node of their primary
	for i := 0; len(ids[0]) < 3 || len(ids[1]) < 3; i++ {
		id := fmt.Sprint(i)
		node := keys.Slot("session:"+id) * 2 / keys.Slots
		ids[node] = append(ids[node], id)
	}
	for node := range ids { // both know the scripts, and the replica follows
		redistest.Eventually(t, func() bool {
			err := store.Put(ctx, ids[node][0], aTalk())
			return err == nil || node == 1 && errors.Is(err, session.ErrUnreplicated)
		}, "a Put")
	}
	roundTrips.Take()
	for node := range ids {
		for _, id := range ids[node][1:3] {
			err := store.Create(ctx, id, aTalk())
			if node == 0 && err != nil || node == 1 && !errors.Is(err, session.ErrUnreplicated) {
				t.Errorf("at primary %d, of which only the first has a replica: %v", node, err)
			}
			if n := roundTrips.TakePerNode(); len(n) != 1 || n[cluster.Addrs()[node]] > 2 {
				t.Errorf("round trips %v", n)
			}
		}
	}
}

func TestAnAcknowledgedChangeSurvivesASentinelFailover(t *testing.T) {
	t.Parallel()
	sentinel := redistest.StartSentinel(t)
	rdb, err := rediskit.Connect(t.Context(), rediskit.Config{
		Addrs: sentinel.Addrs(), MasterName: sentinel.MasterName(), Password: secrets.None(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer rdb.Close()
	store := storeAt(t, rdb, replicas(1, 400*time.Millisecond))
	old := sentinel.Master()
	old.AwaitReplica()
	var acknowledged atomic.Int64
	stopped := redistest.Async(func() (int, error) {
		for n := 1; ; n++ {
			if err := store.Create(t.Context(), fmt.Sprint(n), aTalk()); err != nil {
				return n - 1, err
			}
			acknowledged.Store(int64(n))
		}
	})
	redistest.Eventually(t, func() bool { return acknowledged.Load() > 100 }, "changes are acknowledged")
	old.Kill()
	last := (<-stopped).Value
	redistest.Eventually(t, func() bool { return sentinel.Master() != old }, "a new primary")
	survivor := storeAt(t, sentinel.Master().Client())
	for n := range last {
		if _, err := survivor.Get(t.Context(), fmt.Sprint(n+1)); err != nil {
			t.Errorf("of %d acknowledged sessions, the new primary does not have %d: %v", last, n+1, err)
		}
	}
}
