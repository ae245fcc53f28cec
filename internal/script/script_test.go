package script_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/script"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// unknown returns a script that no server has seen: its text is the test's own.
func unknown(s *redistest.Server, body string) *script.Script {
	return script.New("-- " + s.Prefix() + "\n" + body)
}

func TestAScriptThatTheServerDoesNotKnowRunsOnce(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		for _, delivery := range []script.Delivery{script.Retried, script.Once} {
			rdb := s.Client()
			incr := unknown(s, "return redis.call('INCRBY', KEYS[1], ARGV[1])")
			key := s.Prefix() + "n"
			for i := range 3 {
				got, err := script.Run(t.Context(), rdb, delivery, script.Call{Script: incr, Keys: []string{key}, Args: []any{2}})[0].Int()
				if err != nil || got != 2*(i+1) {
					t.Errorf("run %d = %d, %v; want %d", i, got, err, 2*(i+1))
				}
			}
			rdb.Del(t.Context(), key)
		}
	})
}

func TestRepliesOfAPipelineKeepTheirOrderAndTheirErrors(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		echo := unknown(s, "return ARGV[1]")
		fail := unknown(s, "return redis.error_reply('REFUSED ' .. ARGV[1])")
		known := unknown(s, "return 'known ' .. ARGV[1]")
		call := func(of *script.Script, arg string) script.Call {
			return script.Call{Script: of, Keys: []string{s.Prefix()}, Args: []any{arg}}
		}
		script.Run(t.Context(), rdb, script.Retried, call(known, ""))
		replies := script.Run(t.Context(), rdb, script.Retried, call(echo, "a"), call(fail, "b"), call(known, "c"), call(echo, "d"))
		for i, want := range []string{"a", "", "known c", "d"} {
			got, err := replies[i].Text()
			if i == 1 {
				if !redis.HasErrorPrefix(err, "REFUSED") {
					t.Errorf("reply 1: %v, want its own error", err)
				}
			} else if err != nil || got != want {
				t.Errorf("reply %d = %q, %v; want %q", i, got, err, want)
			}
		}
	})
}

func TestOnlyRetriedCallsAreSentAgainAfterALostReply(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		rdb := s.Client(func(o *redis.Options) { o.Addr, o.MaxRetries = proxy.Addr(), 3 })
		incr := script.New("return redis.call('INCR', KEYS[1])")
		for _, calls := range []int{1, 2} {
			for delivery, want := range map[script.Delivery]int{script.Retried: 2, script.Once: 1} {
				key := s.Prefix() + strconv.FormatBool(bool(delivery)) + strconv.Itoa(calls)
				call := script.Call{Script: incr, Keys: []string{key}}
				script.Run(t.Context(), rdb, delivery, call) // the server knows it from now on
				rdb.Del(t.Context(), key)
				batch := slices.Repeat([]script.Call{call}, calls)
				proxy.DropReply(key)
				replies := script.Run(t.Context(), rdb, delivery, batch...)
				if failed := replies[0].Err() != nil; failed != (delivery == script.Once) {
					t.Errorf("%d calls, once %v: %v", calls, delivery, replies[0].Err())
				}
				// What follows a lost reply in a pipeline may still be on its way.
				redistest.Eventually(t, func() bool {
					return rdb.Get(t.Context(), key).Val() == strconv.Itoa(want*calls)
				}, calls, " calls, once ", delivery, ": want ", want*calls, " runs")
			}
		}
	})
}
