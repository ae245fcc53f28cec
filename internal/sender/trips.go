package sender

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/breaker"
)

// Many commands go in several trips. All replies of a pipeline share one ReadTimeout, and
// all its requests one WriteTimeout: a thousand values of 10 kB do not come through
// 100 Mbit/s in 500 ms. Other callers wait for no more than one trip, too.
//
// A trip ends at maxTrip commands, or where its arguments and the replies that are expected
// reach the budget. Replies are expected to be as large as the last ones were. The budget
// is what took about tripTime lately, between minBudget and maxBudget.
type trips struct {
	budget atomic.Int64 // bytes
	mean   atomic.Int64 // of one value, 0 while none was seen
}

const (
	maxTrip    = 1000
	minBudget  = 16 << 10
	fullBudget = 1 << 20 // at first: 84 ms through 100 Mbit/s
	maxBudget  = 4 << 20
	// tripTime is a fifth of the default ReadTimeout.
	tripTime = 100 * time.Millisecond
	// unknownValue is the expected size of a value before one was seen.
	unknownValue = 10 << 10
)

func newTrips() *trips {
	t := &trips{}
	t.budget.Store(fullBudget)
	return t
}

// values returns how many of n values one trip asks for.
func (t *trips) values(n int) int {
	mean := t.mean.Load()
	if mean == 0 {
		mean = unknownValue
	}
	return int(min(int64(n), maxTrip, max(1, t.budget.Load()/mean)))
}

// cut returns how many of cmds go in one trip, at least one.
func (t *trips) cut(cmds []redis.Cmder) int {
	mean, left := t.mean.Load(), t.budget.Load()
	if mean == 0 {
		mean = unknownValue
	}
	for i := range min(len(cmds), maxTrip) {
		one := cmds[i : i+1]
		if left -= int64(argumentBytes(one)) + values(one)*mean; left < 0 && i > 0 {
			return i
		}
	}
	return min(len(cmds), maxTrip)
}

// note learns from a trip that took so long.
func (t *trips) note(cmds []redis.Cmder, took time.Duration) {
	var asked, size, sent int64
	late := false
	for i, cmd := range cmds {
		sent += int64(argumentBytes(cmds[i : i+1]))
		switch err := cmd.Err(); {
		case err == nil:
			asked += values(cmds[i : i+1])
			size += bytes(cmd)
		case breaker.TimedOut(err):
			late = true
		}
	}
	if asked > 0 {
		if mean := t.mean.Load(); mean > 0 {
			t.mean.Store(max(1, (3*mean+size/asked)/4))
		} else {
			t.mean.Store(max(1, size/asked))
		}
	}
	budget := t.budget.Load()
	switch carried := size + sent; {
	case late:
		budget /= 2
	case took > 2*tripTime:
		budget = carried * int64(tripTime) / int64(took)
	case took < tripTime/2 && carried > budget/2:
		budget *= 2
	}
	t.budget.Store(min(max(budget, minBudget), maxBudget))
}

// DoMany sends cmds of any keys in as few trips as are right, on a Cluster each to every
// primary side by side. Each command then has its own outcome. It shares no round trip.
//
// A trip that was late leaves its replies that arrived. What may run twice, and was not
// answered, is sent again in smaller trips as long as replies arrive. If none does, or for
// another failure of the connection, what was not sent yet fails with the same error. On a
// Cluster, where that may be one primary's, the other trips go on while any is answered.
func (s *Sender) DoMany(ctx context.Context, class Class, cmds ...redis.Cmder) {
	s.DoManyOver(ctx, s.rdb, class, cmds...)
}

// DoManyOver is DoMany over another client, such as that of one primary.
func (s *Sender) DoManyOver(ctx context.Context, rdb redis.UniversalClient, class Class, cmds ...redis.Cmder) {
	_, cluster := rdb.(*redis.ClusterClient)
	for len(cmds) > 0 {
		n := s.trips.cut(cmds)
		trip := cmds[:n:n]
		began := time.Now()
		Send(ctx, rdb, class, trip...)
		took := time.Since(began)
		unanswered, err := lostOf(trip)
		s.trips.note(trip, took)
		cmds = cmds[n:]
		arrives := len(unanswered) < n && ctx.Err() == nil
		switch {
		case err == nil, cluster && arrives:
		case arrives && !class.once() && breaker.TimedOut(err):
			fail(unanswered, nil)
			cmds = append(unanswered, cmds...)
		default:
			fail(cmds, withdrawn{err})
			return
		}
	}
}

// lostOf returns those of cmds that were not answered, and the first of their errors. When
// a connection fails, go-redis gives its error to the commands of the pipeline that were
// answered, too. Their values show it; they lose the error.
func lostOf(cmds []redis.Cmder) (unanswered []redis.Cmder, first error) {
	for _, cmd := range cmds {
		switch err := cmd.Err(); {
		case err == nil, errors.Is(err, redis.Nil), OutcomeOf(err) == Answered:
		case OutcomeOf(err) == MayHaveRun && hasValue(cmd):
			cmd.SetErr(nil)
		default:
			unanswered = append(unanswered, cmd)
			if first == nil {
				first = err
			}
		}
	}
	return unanswered, first
}

// hasValue reports whether a reply has certainly arrived. A map may have arrived in part.
func hasValue(cmd redis.Cmder) bool {
	switch cmd := cmd.(type) {
	case *redis.StringCmd:
		return cmd.Val() != ""
	case *redis.StatusCmd:
		return cmd.Val() != ""
	case *redis.IntCmd:
		return cmd.Val() != 0
	case *redis.DurationCmd:
		return cmd.Val() != 0
	case *redis.Cmd:
		return cmd.Val() != nil
	}
	return false
}

// MGet reads keys in as few MGETs as are right, and returns their values in order, nil for
// none. They must be of one server. With an error, it returns what was read before. One that
// was late is not repeated, but the next ones ask for less.
func (s *Sender) MGet(ctx context.Context, keys []string) ([]any, error) {
	all := make([]any, 0, len(keys))
	for len(keys) > 0 {
		n := s.trips.values(len(keys))
		args := make([]any, 1, 1+n)
		args[0] = "mget"
		for _, key := range keys[:n] {
			args = append(args, key)
		}
		mget := redis.NewSliceCmd(ctx, args...)
		began := time.Now()
		if err := s.Do(ctx, Read, keys[0], mget); err != nil {
			return all, err
		}
		s.trips.note([]redis.Cmder{mget}, time.Since(began))
		values, err := mget.Result()
		if err != nil {
			return all, err
		}
		if len(values) != n {
			return all, ErrReply
		}
		all, keys = append(all, values...), keys[n:]
	}
	return all, nil
}
