package redistest

import (
	"testing"
	"time"
)

func TestTheNodesOfAClusterHaveClocksOfTheirOwn(t *testing.T) {
	t.Parallel()
	place := PlaceWithClock(t)
	c := StartClusterAt(t, func() Place { return place }, 2)
	a, b := c.Nodes()[0], c.Nodes()[1]
	a.StepClock(-time.Hour)
	behind := b.Client().Time(t.Context()).Val().Sub(a.Client().Time(t.Context()).Val())
	if behind < 59*time.Minute || behind > 61*time.Minute {
		t.Errorf("the clock is %v behind", behind)
	}
}

func TestAStepOfTheClockMovesTIMEAndTTLs(t *testing.T) {
	t.Parallel()
	RunWithClock(t, func(t *testing.T, s *Server) {
		ctx, rdb := t.Context(), s.Client()
		rdb.Set(ctx, "k", "v", time.Minute)
		rdb.Set(ctx, "short", "v", time.Second)
		looks := func(what string, ahead, ttl time.Duration) {
			t.Helper()
			if off := time.Until(rdb.Time(ctx).Val()) - ahead; off.Abs() > 5*time.Second {
				t.Errorf("%s: TIME is off by %v", what, off)
			}
			if off := rdb.PTTL(ctx, "k").Val() - ttl; off > 0 || off < -5*time.Second {
				t.Errorf("%s: PTTL is off by %v", what, off)
			}
			inScript := `return redis.call('PTTL', 'k')`
			if ms := rdb.Eval(ctx, inScript, nil).Val(); (time.Duration(ms.(int64))*time.Millisecond - ttl).Abs() > 5*time.Second {
				t.Errorf("%s: PTTL within a script is %v", what, ms)
			}
		}
		looks("at first", 0, time.Minute)
		s.StepClock(-48 * time.Hour)
		looks("two days back", -48*time.Hour, 48*time.Hour+time.Minute)
		s.StepClock(48*time.Hour + 30*time.Second)
		looks("30 s ahead", 30*time.Second, 30*time.Second)
		if n := rdb.Exists(ctx, "short").Val(); n != 0 {
			t.Error("a key has outlived its TTL by 29 s")
		}
		s.Advance(31 * time.Second)
		if n := rdb.Exists(ctx, "k").Val(); n != 0 {
			t.Error("a key has outlived its TTL by a second")
		}
	})
}

func TestTheClockInABubbleRunsOnAfterAStep(t *testing.T) {
	t.Parallel()
	Bubble(t, func(t *testing.T, s *Server) {
		ctx, rdb := t.Context(), s.Client()
		rdb.Set(ctx, "k", "v", time.Minute)
		s.StepClock(-time.Hour)
		time.Sleep(time.Hour)
		if got := rdb.PTTL(ctx, "k").Val(); got != time.Minute {
			t.Errorf("an hour after a step of an hour back: PTTL %v", got)
		}
		if got := rdb.Time(ctx).Val(); !got.Equal(time.Now().Add(-time.Hour)) {
			t.Errorf("TIME is %v, want an hour before %v", got, time.Now())
		}
	})
}

func TestAServerKeepsItsClockOverARestart(t *testing.T) {
	startsReal(t)
	p := StartWithClock(t)
	p.StepClock(time.Hour)
	p.Restart()
	if ahead := time.Until(p.Client().Time(t.Context()).Val()); (ahead - time.Hour).Abs() > 5*time.Second {
		t.Errorf("ahead by %v", ahead)
	}
}
