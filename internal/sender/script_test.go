package sender_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/sender"
)

// unknown returns a script that no server has seen: its text is the test's own.
func unknown(s *redistest.Server, body string) *sender.Script {
	return sender.NewScript("-- " + s.Prefix() + "\n" + body)
}

func TestAScriptThatTheServerDoesNotKnowRunsOnce(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		for class := range sender.Class(sender.Classes) {
			rdb := s.Client()
			r := sender.New(rdb, false)
			incr := unknown(s, "return redis.call('INCRBY', KEYS[1], ARGV[1])")
			key := s.Prefix() + "n"
			for i := range 3 {
				got, err := r.Run(t.Context(), class, sender.Call{Script: incr, Keys: []string{key}, Args: []any{2}}).Int()
				if err != nil || got != 2*(i+1) {
					t.Errorf("class %d, run %d = %d, %v; want %d", class, i, got, err, 2*(i+1))
				}
			}
			rdb.Del(t.Context(), key)
		}
	})
}

func TestRepliesKeepTheirOrderAndTheirErrors(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		echo := unknown(s, "return ARGV[1]")
		fail := unknown(s, "return redis.error_reply('REFUSED ' .. ARGV[1])")
		known := unknown(s, "return 'known ' .. ARGV[1]")
		call := func(of *sender.Script, arg string) sender.Call {
			return sender.Call{Script: of, Keys: []string{s.Prefix()}, Args: []any{arg}}
		}
		r := sender.New(rdb, false)
		r.Run(t.Context(), sender.Repeatable, call(known, ""))
		replies := r.RunMany(t.Context(), sender.Repeatable, call(echo, "a"), call(fail, "b"), call(known, "c"), call(echo, "d"))
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

func TestOnlyWhatMayRunTwiceIsSentAgainAfterALostReply(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		rdb := s.Client(func(o *redis.Options) { o.Addr, o.MaxRetries = proxy.Addr(), 3 })
		incr := sender.NewScript("return redis.call('INCR', KEYS[1])")
		for _, calls := range []int{1, 2} {
			for class, want := range map[sender.Class]int{
				sender.Read: 2, sender.Repeatable: 2, sender.Charge: 1, sender.Change: 1, sender.Take: 1, sender.Keep: 1, sender.Pinned: 1,
			} {
				key := s.Prefix() + strconv.Itoa(int(class)) + ":" + strconv.Itoa(calls)
				call := sender.Call{Script: incr, Keys: []string{key}}
				r := sender.New(rdb, false)
				r.Run(t.Context(), class, call) // the server knows it from now on
				rdb.Del(t.Context(), key)
				batch := slices.Repeat([]sender.Call{call}, calls)
				proxy.DropReply(key)
				replies := r.RunMany(t.Context(), class, batch...)
				if failed := replies[0].Err() != nil; failed != (want == 1) {
					t.Errorf("%d calls, class %d: %v", calls, class, replies[0].Err())
				}
				// What follows a lost reply in a pipeline may still be on its way.
				redistest.Eventually(t, func() bool {
					return rdb.Get(t.Context(), key).Val() == strconv.Itoa(want*calls)
				}, calls, " calls, class ", class, ": want ", want*calls, " runs")
			}
		}
	})
}
