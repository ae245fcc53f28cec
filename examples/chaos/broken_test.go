package chaos

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/pubsub"
	"github.com/convkit/rediskit/ratelimit"
	"github.com/convkit/rediskit/session"
)

// Each model must catch what is broken in the way it looks for.
func TestBrokenStandInsAreCaught(t *testing.T) {
	t.Parallel()
	calm := fault{name: "none", stage: plain(), strike: func(_ *world, hold time.Duration) { time.Sleep(hold) }}
	outage := fault{name: "refused", stage: plain(), strike: networks((*redistest.Proxy).Down, (*redistest.Proxy).Up)}
	for _, c := range []struct {
		name  string
		load  func() workload
		want  []*invariant
		fault fault
	}{
		{"a cache without a lease", func() workload {
			l := newLists()
			l.open = func(m *member) (lister, error) { return bareLists{m.rdb}, nil }
			return l
		}, []*invariant{noStaleSet, oneLoad}, calm},
		{"copies that nobody tells of changes", func() workload {
			c := newCopies()
			c.open = func(m *member) (copier, error) { return &deafCopies{rdb: m.rdb, kept: map[string]int64{}}, nil }
			return c
		}, []*invariant{freshCopies}, calm},
		{"sessions that are read, changed and written back", func() workload {
			s := newSessions()
			s.open = func(m *member, key string, ttl time.Duration) (visitor, error) {
				return bareVisits{m.rdb, key, ttl}, nil
			}
			return s
		}, []*invariant{exactUpdates, oneWinner, wholeSessions}, calm},
		{"a lock that whoever comes may release", func() workload {
			l := newLocks()
			l.open = func(m *member) (locker, error) { return bareLocker{m.rdb}, nil }
			return l
		}, []*invariant{exclusion, fencedLocks}, calm},
		{"a limit that is looked at before it is counted", func() workload {
			l := newLimits()
			l.open = func(m *member, key string, p ratelimit.Policy) (limiter, error) {
				return bareLimiter{m.rdb, key}, nil
			}
			return l
		}, []*invariant{keptLimits}, calm},
		{"HSET, then EXPIRE, by who may die between them", func() workload {
			s := newSessions()
			s.open = func(m *member, key string, ttl time.Duration) (visitor, error) {
				return bareVisits{mortal(m), key, ttl}, nil
			}
			return s
		}, []*invariant{everyTTL}, calm},
		{"INCR, then EXPIRE, by who may die between them", func() workload {
			l := newLimits()
			l.open = func(m *member, key string, p ratelimit.Policy) (limiter, error) {
				return bareLimiter{mortal(m), key}, nil
			}
			return l
		}, []*invariant{everyTTL}, calm},
		{"a subscription that tells no gap", func() workload {
			e := newEvents()
			listen := e.listen
			e.listen = func(ctx context.Context, m *member) (stream, error) {
				s, err := listen(ctx, m)
				return silentStream{s}, err
			}
			return e
		}, []*invariant{toldEvents}, calm},
		{"a service that loses an answer", func() workload { return forgetful{newServices()} }, []*invariant{storedOnce}, calm},
		{"a call that ends late, and works late", func() workload { return &late{} }, []*invariant{boundedCalls, recovery}, calm},
		{"a cache that asks Redis in vain", func() workload {
			o := newOutages(true)
			open := o.open
			o.open = func(m *member) (loader, error) {
				c, err := open(m)
				return vainLoader{c}, err
			}
			return o
		}, []*invariant{quickAnswers}, outage},
		{"a client that does what it may not, and stays", func() workload { return &intruder{} }, []*invariant{grants, noGrowth}, calm},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			found := newLedger() // of all rounds: races take their time to show
			for range 10 {
				w := &world{ledger: newLedger(), t: t, stage: c.fault.stage(t), seed: rand.Uint64()}
				w.connect()
				w.play(c.fault, time.Second, c.load())
				missing := false
				for _, inv := range c.want {
					found.failures[inv] += w.failures[inv]
					missing = missing || found.failures[inv] == 0
				}
				if !missing {
					return
				}
			}
			for _, inv := range c.want {
				if found.failures[inv] == 0 {
					t.Errorf("not caught: %s", inv)
				}
			}
		})
	}
}

// mortal is m's client, in a process that dies before each tenth EXPIRE.
func mortal(m *member) redis.UniversalClient {
	var expiries atomic.Int64
	m.rdb.AddHook(redistest.Commands(func(next func() error, names ...string) error {
		if names[0] == "pexpire" && expiries.Add(1)%10 == 0 {
			return errors.New("died")
		}
		return next()
	}))
	return m.rdb
}

// bareLists is a cache as it is often written.
type bareLists struct{ rdb redis.UniversalClient }

func (b bareLists) GetOrLoad(ctx context.Context, id string, load func(context.Context, string) (list, error)) (list, error) {
	var v list
	if data, err := b.rdb.Get(ctx, "cache:list:"+id).Bytes(); err == nil && json.Unmarshal(data, &v) == nil {
		return v, nil
	}
	v, err := load(ctx, id)
	if err != nil {
		return v, err
	}
	data, err := json.Marshal(v)
	if err == nil {
		b.rdb.Set(ctx, "cache:list:"+id, data, time.Minute)
	}
	return v, err
}

func (b bareLists) Delete(ctx context.Context, ids ...string) error {
	return b.rdb.Del(ctx, "cache:list:"+ids[0]).Err()
}

func (bareLists) Close() error { return nil }

// deafCopies keeps what it has read once.
type deafCopies struct {
	rdb  redis.UniversalClient
	mu   sync.Mutex
	kept map[string]int64
}

func (d *deafCopies) Get(ctx context.Context, id string) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if v, ok := d.kept[id]; ok {
		return v, nil
	}
	v, err := d.rdb.Get(ctx, "cache:copy:"+id).Int64()
	if err != nil {
		return 0, err
	}
	d.kept[id] = v
	return v, nil
}

func (*deafCopies) Close() error { return nil }

// bareVisits keeps sessions by commands of their own.
type bareVisits struct {
	rdb redis.UniversalClient
	key string
	ttl time.Duration
}

func (b bareVisits) write(ctx context.Context, id string, fields ...any) error {
	sleep(ctx, rand.N(20*time.Millisecond)) // as on a busy machine
	if err := b.rdb.HSet(ctx, b.key+id, fields...).Err(); err != nil {
		return err
	}
	return b.rdb.PExpire(ctx, b.key+id, b.ttl).Err()
}

func (b bareVisits) Create(ctx context.Context, id string, v visit) error {
	return b.write(ctx, id, "speaker", v.Speaker, "count", v.Count, "state", v.State)
}

func (b bareVisits) Get(ctx context.Context, id string) (visit, error) {
	fields, err := b.rdb.HGetAll(ctx, b.key+id).Result()
	if err != nil {
		return visit{}, err
	}
	if len(fields) == 0 {
		return visit{}, session.ErrNotFound
	}
	n, _ := strconv.ParseInt(fields["count"], 10, 64)
	return visit{Speaker: fields["speaker"], Count: n, State: fields["state"]}, nil
}

func (b bareVisits) Touch(ctx context.Context, id string) (visit, error) {
	v, err := b.Get(ctx, id)
	if err != nil {
		return v, err
	}
	return v, b.write(ctx, id, "seen", time.Now().UnixMilli())
}

func (b bareVisits) Update(ctx context.Context, id string, fn func(*visit) error) (visit, error) {
	v, err := b.Get(ctx, id)
	if err != nil {
		return v, err
	}
	if err := fn(&v); err != nil {
		return v, err
	}
	return v, b.write(ctx, id, "count", v.Count)
}

func (b bareVisits) Answer(ctx context.Context, id string) (visit, error) {
	v, err := b.Get(ctx, id)
	if err != nil {
		return v, err
	}
	if v.State != waiting {
		return v, &session.ConflictError[string]{}
	}
	return v, b.write(ctx, id, "state", answered)
}

// bareLocker is SET NX, then DEL by whoever comes.
type bareLocker struct{ rdb redis.UniversalClient }

func (b bareLocker) Acquire(ctx context.Context, id string) (holding, error) {
	for {
		ok, err := b.rdb.SetNX(ctx, "lock:"+id, "locked", 3*time.Millisecond).Result()
		if ok || err != nil {
			return bareLock{b.rdb, "lock:" + id}, err
		}
		if !sleep(ctx, time.Millisecond) {
			return nil, ctx.Err()
		}
	}
}

func (bareLocker) Close() error { return nil }

type bareLock struct {
	rdb redis.UniversalClient
	key string
}

// Fence is a number that somebody else may get too.
func (b bareLock) Fence(ctx context.Context) (int64, error) { return time.Now().UnixMilli(), nil }

func (bareLock) Context() context.Context { return context.Background() }

func (b bareLock) Release(ctx context.Context) error { return b.rdb.Del(ctx, b.key).Err() }

// bareLimiter looks, then counts, then sets the TTL of what it began.
type bareLimiter struct {
	rdb redis.UniversalClient
	key string
}

func (b bareLimiter) Allow(ctx context.Context, id string) (ratelimit.Result, error) {
	n, err := b.rdb.Get(ctx, b.key+id).Int()
	if err != nil && !errors.Is(err, redis.Nil) {
		return ratelimit.Result{}, err
	}
	if n >= limitN {
		return ratelimit.Result{}, nil
	}
	count, err := b.rdb.Incr(ctx, b.key+id).Result()
	if err != nil {
		return ratelimit.Result{}, err
	}
	if count == 1 {
		if err := b.rdb.PExpire(ctx, b.key+id, limitPer).Err(); err != nil {
			return ratelimit.Result{}, err
		}
	}
	left, err := b.rdb.PTTL(ctx, b.key+id).Result()
	return ratelimit.Result{Allowed: true, Remaining: limitN - n - 1, ResetAfter: left}, err
}

// silentStream keeps gaps to itself.
type silentStream struct{ stream }

func (s silentStream) Subscribe() reading { return silentReading{s.stream.Subscribe()} }

type silentReading struct{ reading }

func (r silentReading) Next(ctx context.Context) (pubsub.Message[tick], error) {
	for {
		m, err := r.reading.Next(ctx)
		var gap *pubsub.GapError
		if !errors.As(err, &gap) {
			return m, err
		}
	}
}

// forgetful loses the last answer that it has confirmed.
type forgetful struct{ *services }

func (f forgetful) check(w *world) {
	db, err := sql.Open("sqlite", f.path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(context.Background(), `DELETE FROM messages WHERE id = ?`, f.said[len(f.said)-1].Answer.ID); err != nil {
		w.t.Fatal(err)
	}
	f.services.check(w)
}

// vainLoader waits before it believes that Redis is down.
type vainLoader struct{ loader }

func (v vainLoader) GetOrLoad(ctx context.Context, id string, load func(context.Context, string) (list, error)) (list, error) {
	time.Sleep(maxDelay)
	return v.loader.GetOrLoad(ctx, id, load)
}

// intruder lists all keys, and leaves its connection open.
type intruder struct{}

func (*intruder) start(w *world) {
	w.members[0].rdb.Keys(context.Background(), "*")
	w.stage.admin(w.stage.server).Ping(context.Background())
}

func (*intruder) works(context.Context, *member) error { return nil }

func (*intruder) check(*world) {}

func (*intruder) close() error { return nil }

// late takes its time.
type late struct {
	w     *world
	began time.Time
	calls atomic.Int32
}

func (l *late) start(w *world) { l.w, l.began = w, time.Now() }

func (l *late) works(context.Context, *member) error {
	if l.calls.Add(1) == 1 {
		l.w.within("a late call", 0, func(context.Context) { time.Sleep(slack + 100*time.Millisecond) })
	}
	if time.Since(l.began) < 2200*time.Millisecond {
		return errors.New("not yet")
	}
	return nil
}

func (*late) check(*world) {}

func (*late) close() error { return nil }
