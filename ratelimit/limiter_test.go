package ratelimit_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/ratelimit"
)

func TestACounterOfAnotherProgramIsContinued(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb, l := s.Client(), newLimiter(t, s, ratelimit.PerMinute(100))
		rdb.Incr(t.Context(), keyOf(s, "1"))
		rdb.Expire(t.Context(), keyOf(s, "1"), 30*time.Second)
		res := allow(t, l, "1", 1)
		if !res.Allowed || res.Remaining != 98 || res.ResetAfter > 31*time.Second || res.ResetAfter < 20*time.Second {
			t.Errorf("got %+v, want the second of 100 in a window of 30s", res)
		}
		if got := stored(t, s, keyOf(s, "1")); got != "2" {
			t.Errorf("the key holds %q, want a bare 2", got)
		}
		rdb.IncrBy(t.Context(), keyOf(s, "1"), 200)
		if res := allow(t, l, "1", 1); res.Allowed || res.Remaining != 0 {
			t.Errorf("got %+v, want a denial: the other program counted past the limit", res)
		}
		if got := l.Stats(); got.Repaired != 0 {
			t.Errorf("%+v, want nothing to repair", got)
		}
	})
}

func TestACounterWithoutATTLOrWithALongerOneIsRepaired(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		for id, ttl := range map[string]time.Duration{"crashed": 0, "another window's": time.Hour} {
			l := newLimiter(t, s, ratelimit.PerMinute(100))
			s.Client().Set(t.Context(), keyOf(s, id), 100, ttl)
			res := allow(t, l, id, 1)
			if res.Allowed || res.RetryAfter <= 0 || res.RetryAfter > time.Minute {
				t.Errorf("%s: got %+v, want a denial for one window", id, res)
			}
			if left := s.Client().PTTL(t.Context(), keyOf(s, id)).Val(); left <= 0 || left > time.Minute {
				t.Errorf("%s: the TTL is %v, want at most one window", id, left)
			}
			if got := l.Stats(); got.Repaired != 1 || got.Denied != 1 {
				t.Errorf("%s: %+v, want one repair", id, got)
			}
		}
	})
}

func TestAKeyThatHoldsNoCountIsNotChangedAndAllowsNothing(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		sliding, bucket := ratelimit.SlidingWindow(5, time.Minute), ratelimit.GCRA(5, time.Minute, 5)
		slidingKey := func(id string) string { return keys.Sibling("limit-sliding-1m", keyOf(s, id)) }
		bucketKey := func(id string) string { return keys.Sibling("limit-gcra-1m-5-5", keyOf(s, id)) }
		set := func(text string) func(string) {
			return func(key string) { rdb.Set(t.Context(), key, text, time.Minute) }
		}
		hash := func(fields ...any) func(string) {
			return func(key string) { rdb.HSet(t.Context(), key, fields...); rdb.Expire(t.Context(), key, time.Minute) }
		}
		for id, c := range map[string]struct {
			policy ratelimit.Policy
			key    func(string) string
			write  func(key string)
		}{
			"text":             {ratelimit.PerMinute(5), func(id string) string { return keyOf(s, id) }, set("five")},
			"fraction":         {ratelimit.PerMinute(5), func(id string) string { return keyOf(s, id) }, set("1.5")},
			"exponent":         {ratelimit.PerMinute(5), func(id string) string { return keyOf(s, id) }, set("1e3")},
			"leading zero":     {ratelimit.PerMinute(5), func(id string) string { return keyOf(s, id) }, set("01")},
			"too many digits":  {ratelimit.PerMinute(5), func(id string) string { return keyOf(s, id) }, set("9999999999999999")},
			"empty":            {ratelimit.PerMinute(5), func(id string) string { return keyOf(s, id) }, set("")},
			"hash":             {ratelimit.PerMinute(5), func(id string) string { return keyOf(s, id) }, hash("a", "b")},
			"sliding text":     {sliding, slidingKey, set("five")},
			"sliding fields":   {sliding, slidingKey, hash("a", "b")},
			"gcra text":        {bucket, bucketKey, set("five")},
			"gcra hash":        {bucket, bucketKey, hash("a", "b")},
			"gcra WRONGTYPE {": {bucket, bucketKey, hash("a", "b")},
		} {
			key := c.key(id)
			c.write(key)
			before := rdb.Dump(t.Context(), key).Val()
			l := newLimiterOn(t, s, s.Client(), ratelimit.Config{WhenDown: ratelimit.FailOpen}, c.policy)
			for op, call := range map[string]func() (ratelimit.Result, error){
				"Allow": func() (ratelimit.Result, error) { return l.Allow(t.Context(), id) },
				"Peek":  func() (ratelimit.Result, error) { return l.Peek(t.Context(), id) },
			} {
				if res, err := call(); !errors.Is(err, ratelimit.ErrNotCounter) || res.Allowed || strings.Contains(err.Error(), keyOf(s, id)) {
					t.Errorf("%s: %s = %+v, %v; want ErrNotCounter", id, op, res, err)
				}
			}
			if s.Real() && rdb.Dump(t.Context(), key).Val() != before {
				t.Errorf("%s: the value was changed", id)
			}
			if err := l.Reset(t.Context(), id); err != nil {
				t.Errorf("%s: %v", id, err)
			}
			if res := allow(t, l, id, 1); !res.Allowed || res.Remaining != 4 {
				t.Errorf("%s: after Reset got %+v", id, res)
			}
		}
	})
}

func TestADenialByOnePolicyLeavesTheOthersUncharged(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		for _, tight := range []ratelimit.Policy{ratelimit.PerMinute(3), ratelimit.SlidingWindow(3, time.Minute)} {
			id, wide := tight.String(), ratelimit.SlidingWindow(10, time.Hour)
			l := newLimiter(t, s, wide, tight)
			for range 20 {
				allow(t, l, id, 1)
			}
			if _, denial := exhaust(t, l, id); denial.Policy != tight || denial.Limit != 3 {
				t.Errorf("got %+v, want a denial by %v", denial, tight)
			}
			if got := peek(t, newLimiter(t, s, wide), id); got.Remaining != 7 {
				t.Errorf("%d remain of %v, want 7: only 3 passed", got.Remaining, wide)
			}
		}
	})
}

func TestADenialNamesThePolicyThatDeniesLongest(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		l := newLimiter(t, s, ratelimit.PerSecond(2), ratelimit.PerHour(2))
		allow(t, l, "1", 2)
		if res := allow(t, l, "1", 1); res.Allowed || res.Policy != ratelimit.PerHour(2) || res.RetryAfter < 59*time.Minute {
			t.Errorf("got %+v, want a denial by the policy per hour", res)
		}
		l = newLimiter(t, s, ratelimit.PerSecond(5), ratelimit.PerHour(100))
		if res := allow(t, l, "2", 2); !res.Allowed || res.Policy != ratelimit.PerSecond(5) || res.Remaining != 3 {
			t.Errorf("got %+v, want the least remaining", res)
		}
	})
}

func TestInvalidInputIsRefusedBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		unused := s.Hooked(func(func() error, ...string) error {
			t.Error("a command was sent")
			return redis.ErrClosed
		})
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for _, policies := range [][]ratelimit.Policy{
			{ratelimit.PerMinute(10), ratelimit.PerHour(1000)},
			{ratelimit.SlidingWindow(10, time.Minute)},
			{ratelimit.GCRA(1000, time.Minute, 10)},
		} {
			l := newLimiterOn(t, s, unused, ratelimit.Config{}, policies...)
			for _, c := range []struct {
				ctx  context.Context
				id   string
				n    int
				want error
			}{
				{t.Context(), "", 1, ratelimit.ErrEmptyID},
				{t.Context(), "1", 0, ratelimit.ErrNotPositive},
				{t.Context(), "1", -5, ratelimit.ErrNotPositive},
				{t.Context(), "1", 11, ratelimit.ErrExceedsLimit},
				{t.Context(), "1", 1 << 62, ratelimit.ErrExceedsLimit},
				{ended, "1", 1, context.Canceled},
			} {
				if res, err := l.AllowN(c.ctx, c.id, c.n); !errors.Is(err, c.want) || res.Allowed {
					t.Errorf("%v: AllowN(%q, %d) = %+v, %v; want %v", policies, c.id, c.n, res, err, c.want)
				}
			}
			if _, err := l.Peek(t.Context(), ""); !errors.Is(err, ratelimit.ErrEmptyID) {
				t.Error(err)
			}
			if err := l.Reset(t.Context(), ""); !errors.Is(err, ratelimit.ErrEmptyID) {
				t.Error(err)
			}
		}
	})
}

func TestEachCallIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		for _, policies := range [][]ratelimit.Policy{
			{ratelimit.PerMinute(2), ratelimit.SlidingWindow(10, time.Hour), ratelimit.PerHour(100)},
			{ratelimit.GCRA(2, time.Minute, 2)},
		} {
			rdb := s.Client()
			trips := redistest.Trips(rdb)
			l := newLimiterOn(t, s, rdb, ratelimit.Config{}, policies...)
			_ = allow(t, l, "warm", 1)
			trips.Take()
			for range 4 {
				allow(t, l, policies[0].String(), 1)
			}
			peek(t, l, policies[0].String())
			if err := l.Reset(t.Context(), policies[0].String()); err != nil {
				t.Error(err)
			}
			if got := trips.Take(); got != 6 {
				t.Errorf("%v: %d round trips for 6 calls", policies, got)
			}
		}
	})
}

func TestALostReplyNeverChargesTwice(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		for _, p := range []ratelimit.Policy{
			ratelimit.PerHour(100), ratelimit.SlidingWindow(100, time.Hour), ratelimit.GCRA(100, 100*time.Hour, 100),
		} {
			proxy := redistest.StartProxy(t, s.Addr())
			var onError redistest.Recorder
			rdb := s.Client(func(o *redis.Options) { o.Addr, o.MaxRetries = proxy.Addr(), 3 })
			l := newLimiterOn(t, s, rdb, ratelimit.Config{OnError: onError.OnError}, p)
			_ = allow(t, l, "warm", 1)
			id := p.String()
			lost := proxy.DropReply(keyOf(s, id))
			res := allow(t, l, id, 1)
			<-lost
			if !res.Allowed || !res.Degraded || res.Err == nil || len(onError.All()) != 1 {
				t.Errorf("%v: got %+v, OnError received %v; want FailOpen to decide", p, res, onError.All())
			}
			if got := peek(t, l, id).Remaining; got != 99 {
				t.Errorf("%v: %d remain, want 99: charged once", p, got)
			}
			if got := l.Stats(); got.DegradedAllowed != 1 || got.RedisErrors != 1 || got.Allowed != 1 {
				t.Errorf("%v: %+v", p, got)
			}
		}
	})
}

func TestAWindowOf100MillisecondsLimits(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		for _, p := range []ratelimit.Policy{
			ratelimit.FixedWindow(3, 100*time.Millisecond), ratelimit.SlidingWindow(3, 100*time.Millisecond),
		} {
			l := newLimiter(t, s, p)
			passed, denial := exhaust(t, l, p.String())
			if passed < 3 || denial.RetryAfter <= 0 || denial.RetryAfter > 110*time.Millisecond {
				t.Errorf("%v: %d passed, then %+v", p, passed, denial)
			}
			s.Advance(denial.RetryAfter)
			if res := allow(t, l, p.String(), 1); !res.Allowed {
				t.Errorf("%v: denied after its RetryAfter: %+v", p, res)
			}
		}
	})
}

func TestOnlyAFixedWindowAllowsTwiceItsLimitAroundTheEnd(t *testing.T) {
	t.Parallel()
	for p, want := range map[ratelimit.Policy]int{ratelimit.PerMinute(100): 200, ratelimit.SlidingWindow(100, time.Minute): 100} {
		redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
			l := newLimiter(t, s, p)
			time.Sleep(time.Minute - time.Duration(time.Now().UnixNano())%time.Minute)
			passed := 0
			try := func(n int) {
				for range n {
					if allow(t, l, "1", 1).Allowed {
						passed++
					}
				}
			}
			try(1)
			time.Sleep(59900 * time.Millisecond)
			try(99)
			time.Sleep(200 * time.Millisecond)
			try(100)
			if passed < want-1 || passed > want {
				t.Errorf("%v: %d passed within 200ms and one before, want %d", p, passed, want)
			}
		})
	}
}

func TestAnotherPolicyBeginsANewCount(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		allow(t, newLimiter(t, s, ratelimit.GCRA(1, time.Hour, 1)), "1", 1)
		if res := allow(t, newLimiter(t, s, ratelimit.GCRA(100, time.Second, 100)), "1", 1); !res.Allowed || res.Remaining != 99 {
			t.Errorf("got %+v, want a new bucket", res)
		}
		allow(t, newLimiter(t, s, ratelimit.SlidingWindow(1, time.Hour)), "1", 1)
		if res := allow(t, newLimiter(t, s, ratelimit.SlidingWindow(5, time.Second)), "1", 1); !res.Allowed || res.Remaining != 4 {
			t.Errorf("got %+v, want a new window", res)
		}
	})
}

// A failover to a server whose clock is behind makes the clock step back.
func TestAClockThatStepsBackAnHourDelaysForOneWindowAtMost(t *testing.T) {
	t.Parallel()
	for _, p := range []ratelimit.Policy{
		ratelimit.PerMinute(10), ratelimit.SlidingWindow(10, time.Minute), ratelimit.GCRA(10, time.Minute, 10),
	} {
		redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
			l := newLimiter(t, s, p)
			now := time.Now()
			s.Mini().SetTime(now)
			exhaust(t, l, "1")
			s.Mini().SetTime(now.Add(-time.Hour))
			denial := allow(t, l, "1", 1)
			if denial.Allowed || denial.RetryAfter > 66*time.Second {
				t.Errorf("%v: got %+v, want a denial for one window at most", p, denial)
			}
			s.Mini().SetTime(now.Add(-time.Hour + denial.RetryAfter))
			if res := allow(t, l, "1", 1); !res.Allowed {
				t.Errorf("%v: still denied after RetryAfter: %+v", p, res)
			}
		})
	}
}

func TestNewTakesNoPipeline(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClient(&redis.Options{})
	defer rdb.Close()
	if _, ok := any(rdb.Pipeline()).(redis.UniversalClient); ok {
		t.Error("New takes a Pipeliner, over which redis_rate panics")
	}
}

func TestAllowMakesAtMostThirteenAllocations(t *testing.T) {
	s := redistest.Real(t)
	l := newLimiter(t, s, ratelimit.PerHour(1_000_000))
	allow(t, l, "1", 1)
	if got := testing.AllocsPerRun(200, func() { allow(t, l, "1", 1) }); got > 13 {
		t.Errorf("Allow allocates %v times", got)
	}
}
