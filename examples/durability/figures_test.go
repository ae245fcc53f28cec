package durability

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/session"
)

// Figures are what one run has shown.
type figures struct {
	acked    int           // changes that were acknowledged
	lost     int           // those of them that are not at the server that counts
	all      bool          // none is there that was acknowledged before the fault
	within   time.Duration // from the first acknowledgement of a lost one to the last
	refused  int           // changes that were not acknowledged
	admitted int           // by the limiter
	charges  int           // those of them that the server that counts does not know of
	together time.Duration // two holders trusted the lock
}

// figures compares what the clients were told with what survivor has.
func (r *run) figures(survivor *redis.Client) figures {
	r.t.Helper()
	visits, err := newVisits(survivor, r.tag, setting{})
	if err != nil {
		r.t.Fatal(err)
	}
	f := figures{together: overlap(r.near.trusted, r.far.trusted), all: true}
	var first, last time.Time             // of a lost one
	there := map[string]map[string]bool{} // by session: the numbers in it
	for _, c := range []*client{r.near, r.far} {
		f.acked += len(c.acked)
		f.refused += c.refused
		f.admitted += c.admitted
		for _, done := range c.acked {
			numbers, read := there[done.id]
			if !read {
				v, err := visits.Get(context.Background(), done.id)
				if err != nil && !errors.Is(err, session.ErrNotFound) {
					r.t.Fatal(err)
				}
				numbers = numbersOf(v)
				there[done.id] = numbers
			}
			switch there := numbers[fmt.Sprint(done.number)]; {
			case there && done.at.Before(r.began):
				f.all = false
			case !there:
				f.lost++
				if first.IsZero() || done.at.Before(first) {
					first = done.at
				}
				if done.at.After(last) {
					last = done.at
				}
			}
		}
	}
	f.within = last.Sub(first)
	counted, err := survivor.Get(context.Background(), prefix("limit", r.tag)+limited).Int()
	if err != nil && !errors.Is(err, redis.Nil) {
		r.t.Fatal(err)
	}
	f.charges = max(0, f.admitted-counted) // a charge whose reply was lost was counted, and not admitted
	return f
}

func numbersOf(v visit) map[string]bool {
	numbers := map[string]bool{}
	for n := range strings.FieldsSeq(v.Changes) {
		numbers[n] = true
	}
	return numbers
}

// overlap returns for how long both trusted the lock at once.
func overlap(a, b []span) (sum time.Duration) {
	for _, x := range a {
		for _, y := range b {
			from, to := x.from, x.to
			if y.from.After(from) {
				from = y.from
			}
			if y.to.Before(to) {
				to = y.to
			}
			sum += max(0, to.Sub(from))
		}
	}
	return sum
}

// worst returns the run that lost the most, with the worst of each other figure.
func worst(all []figures) figures {
	w := slices.MaxFunc(all, func(a, b figures) int { return cmp.Compare(a.lost, b.lost) })
	for _, f := range all {
		w.refused = max(w.refused, f.refused)
		w.admitted = max(w.admitted, f.admitted)
		w.charges = max(w.charges, f.charges)
		w.together = max(w.together, f.together)
	}
	return w
}

// String is for the log of a run.
func (f figures) String() string {
	return fmt.Sprintf("lost %d of %d acknowledged, within %v, %d not acknowledged, %d admitted of %d, %d charges lost, two holders for %v",
		f.lost, f.acked, f.within.Round(time.Millisecond), f.refused, f.admitted, limit, f.charges, f.together.Round(time.Millisecond))
}
