package session_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/session"
)

func TestACluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	ctx, rdb := t.Context(), cluster.Client()
	roundTrips := redistest.Trips(rdb)
	store, err := session.New[talk](rdb, session.Config{Key: "session:*", TTL: time.Minute, MaxLifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	state := stateOf(t, store)
	ids := make([]string, 300)
	primaries := map[int]bool{}
	for i := range ids {
		ids[i] = fmt.Sprintf("%d{%d}", i, i*7)
		primaries[keys.Slot("session:"+ids[i])*3/keys.Slots] = true
	}
	if len(primaries) != 3 {
		t.Fatal("the ids are not on all primaries")
	}
	for i, id := range ids {
		create(t, store, id, aTalk())
		_, err := store.Update(ctx, id, func(v *talk) error { v.N = i; return nil })
		_, err2 := state.Transition(ctx, id, waitingForLLM, answered)
		_, err3 := state.Transition(ctx, id, waitingForLLM, answered)
		_, err4 := store.Touch(ctx, id)
		v, err5 := store.Get(ctx, id)
		if err := errors.Join(err, err2, err4, err5); err != nil || !errors.Is(err3, session.ErrConflict) || v.N != i || v.State != answered {
			t.Fatalf("%+v, %v; a second transition: %v", v, err, err3)
		}
	}
	roundTrips.Take()
	found := collect(t, store)
	atPrimaries := roundTrips.Take()
	n, err := store.Count(ctx)
	if len(found) != len(ids) || n != len(ids) || err != nil {
		t.Errorf("All yields %d and Count says %d, %v; want %d", len(found), n, err, len(ids))
	}
	if atPrimaries > 3*4 {
		t.Errorf("All took %d round trips", atPrimaries)
	}
	for i, id := range ids {
		if found[id] != i {
			t.Errorf("%s has %d, want %d", id, found[id], i)
		}
		if err := store.Delete(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := store.Count(ctx); n != 0 || err != nil {
		t.Errorf("Count = %d, %v after all were deleted", n, err)
	}
	for _, node := range cluster.Nodes() {
		left := node.Client()
		for _, key := range left.Keys(ctx, "*").Val() {
			if left.TTL(ctx, key).Val() == -1 { // -2: it has expired since KEYS
				t.Errorf("%s has no TTL", key)
			}
		}
	}
}
