package sender_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/sender"
)

// spend returns the balance of a key after each of several costs.
var spend = sender.NewScript(`
local balances = {}
for i = 2, #ARGV do
  balances[i-1] = redis.call('DECRBY', KEYS[1], ARGV[i])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return balances`)

func spending(key string) sender.Call {
	return sender.Call{Script: spend, Keys: []string{key}, Args: []any{60_000}}
}

// spent sends a charge and returns the balance after it.
func spent(ctx context.Context, c *sender.Sender, key string, cost int) (int64, error) {
	reply, at, err := c.Charge(ctx, spending(key), cost)
	if err != nil {
		return 0, err
	}
	return reply.([]any)[at].(int64), nil
}

// inOrder queues charges one after the other behind held ones.
func inOrder(t *testing.T, c *sender.Sender, key func(i int) string, costs []int) []<-chan redistest.Result[int64] {
	t.Helper()
	var results []<-chan redistest.Result[int64]
	for i, cost := range costs {
		results = append(results, redistest.Async(func() (int64, error) { return spent(t.Context(), c, key(i), cost) }))
		redistest.Eventually(t, func() bool { return c.Queued() == i+1 }, "it is queued")
	}
	return results
}

func TestChargesOfOneKeyThatWaitAreOneCommandInTheirOrder(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		if _, err := spent(t.Context(), sender.New(rdb, false), s.Prefix(), 1); err != nil { // the server knows the script from now on
			t.Fatal(err)
		}
		g, c := newGate(rdb), sender.New(rdb, false)
		hot, cold := s.Prefix()+"hot", s.Prefix()+"cold"
		others := g.fill(t, c, sender.Charge, "busy")
		costs := []int{1, 5, 2, 1, 7, 3}
		results := inOrder(t, c, func(i int) string {
			if i == 3 {
				return cold
			}
			return hot
		}, costs)
		close(g.open)
		others.Wait()
		balance := int64(0)
		for i, r := range results {
			want := -int64(costs[i])
			if i != 3 {
				balance -= int64(costs[i])
				want = balance
			}
			if got := <-r; got.Err != nil || got.Value != want {
				t.Errorf("charge %d: %+v, want %d", i, got, want)
			}
		}
		last := g.sent()[sender.MaxDirect+sender.MaxPipelines]
		if len(last) != 2 {
			t.Errorf("the pipeline has %d commands, want one for each key", len(last))
		}
	})
}

func TestAScriptTakesNoMoreThan128Charges(t *testing.T) {
	t.Parallel()
	rdb := redistest.Mini(t).Client()
	g, c := newGate(rdb), sender.New(rdb, false)
	others := g.fill(t, c, sender.Charge, "busy")
	const n = 300
	balances := make([]int64, n)
	for i := range n {
		others.Go(func() { balances[i], _ = spent(t.Context(), c, "k", 1) })
	}
	redistest.Eventually(t, func() bool { return c.Queued() == n }, "all are queued")
	close(g.open)
	others.Wait()
	slices.Sort(balances)
	for i, got := range balances {
		if got != int64(i-n) {
			t.Fatalf("balance %d is %d, want %d: each charge once", i, got, i-n)
		}
	}
	if last := g.sent()[sender.MaxDirect+sender.MaxPipelines]; len(last) != 3 {
		t.Errorf("%d commands for %d charges, want 3", len(last), n)
	}
}

func TestAChargeThatIsWithdrawnIsNotInTheVector(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		g, c := newGate(rdb), sender.New(rdb, false)
		others := g.fill(t, c, sender.Charge, "busy")
		ctx, cancel := context.WithCancel(t.Context())
		key := s.Prefix() + "k"
		left := redistest.Async(func() (int64, error) { return spent(ctx, c, key, 100) })
		redistest.Eventually(t, func() bool { return c.Queued() == 1 }, "it is queued")
		stays := redistest.Async(func() (int64, error) { return spent(t.Context(), c, key, 1) })
		redistest.Eventually(t, func() bool { return c.Queued() == 2 }, "both are queued")
		cancel()
		if r := <-left; !errors.Is(r.Err, context.Canceled) || sender.OutcomeOf(r.Err) != sender.Unsent {
			t.Errorf("the charge that left: %+v", r)
		}
		close(g.open)
		others.Wait()
		if r := <-stays; r.Err != nil || r.Value != -1 {
			t.Errorf("the charge that stayed: %+v", r)
		}
	})
}

func TestALostReplyIsLostForAllThatRodeTogether(t *testing.T) {
	t.Parallel()
	rdb := redistest.Mini(t).Client()
	g, c := newGate(rdb), sender.New(rdb, false)
	others := g.fill(t, c, sender.Charge, "busy")
	results := inOrder(t, c, func(int) string { return "k" }, []int{1, 1, 1})
	rdb.AddHook(hook(func(_ context.Context, cmds []redis.Cmder, next func() error) error {
		if err := next(); err != nil || fmt.Sprint(cmds[0].Args()[3]) != "k" {
			return err
		}
		for _, cmd := range cmds {
			cmd.SetErr(io.EOF)
		}
		return io.EOF
	}))
	close(g.open)
	others.Wait()
	for i, r := range results {
		if got := <-r; sender.OutcomeOf(got.Err) != sender.MayHaveRun {
			t.Errorf("charge %d: %+v", i, got)
		}
	}
}

// Many goroutines, few keys, some that leave: each charge that has an answer was made once,
// and each answer is another one.
func TestEveryChargeGetsItsOwnAnswer(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		c := sender.New(rdb, false)
		const keys, callers, calls = 3, 64, 50
		var mu sync.Mutex
		seen := make([]map[int64]bool, keys)
		for k := range seen {
			seen[k] = map[int64]bool{}
		}
		var all sync.WaitGroup
		for caller := range callers {
			all.Go(func() {
				for n := range calls {
					k := (caller + n) % keys
					got, err := spent(t.Context(), c, fmt.Sprint(s.Prefix(), k), 1)
					mu.Lock()
					if err != nil || seen[k][got] {
						t.Errorf("balance %d again, or %v", got, err)
					}
					seen[k][got] = true
					mu.Unlock()
				}
			})
		}
		all.Wait()
		for k := range seen {
			if left, err := rdb.Get(t.Context(), fmt.Sprint(s.Prefix(), k)).Int64(); err != nil || int(-left) != len(seen[k]) {
				t.Errorf("key %d has %d, %v; %d charges were answered", k, left, err, len(seen[k]))
			}
		}
	})
}
