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

// Each model must catch a stand-in that breaks the promise which the model checks.
func TestBrokenStandInsAreCaught(t *testing.T) {
	t.Parallel()
	none := fault{name: "none", topology: plain(), inject: func(_ *round, duration time.Duration) { time.Sleep(duration) }}
	cuts := fault{name: "connections cut", topology: plain(), inject: again(cutAll)}
	move := fault{name: "address moves", topology: pair, inject: moveAddress(true), loses: true}
	behind := fault{name: "address moves to a replica that is behind", topology: pair, inject: moveBehind, loses: true}
	outage := fault{name: "refused", topology: plain(), inject: networks((*redistest.Proxy).Down, (*redistest.Proxy).Up)}
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
		}, []*invariant{noStaleSet, oneLoad}, none},
		{"copies that are not invalidated", func() workload {
			c := newCopies()
			c.open = func(m *member) (copier, error) { return &frozenCopies{rdb: m.rdb, kept: map[string]int64{}}, nil }
			return c
		}, []*invariant{freshCopies}, none},
		{"a server that does not announce what it changes", func() workload {
			c := newCopies()
			c.open = func(m *member) (copier, error) {
				m.rdb.AddHook(&restless{})
				return openCopies(m, "cache:copy:*")
			}
			return c
		}, []*invariant{verifiedCopies}, none},
		{"sessions that are read, changed and written back", func() workload {
			s := newSessions()
			s.open = func(m *member, key string, ttl time.Duration) (visitor, error) {
				return bareVisits{m.rdb, key, ttl}, nil
			}
			return s
		}, []*invariant{exactUpdates, oneWinner, wholeSessions}, none},
		{"sessions that no replica has acknowledged, taken for those that all have", func() workload {
			return &acknowledged{replicas: func(int) int { return 0 }}
		}, []*invariant{kept}, behind},
		{"a lock that every process may release", func() workload {
			l := newLocks()
			l.open = func(m *member) (locker, error) { return bareLocker{m.rdb}, nil }
			return l
		}, []*invariant{exclusion, fencedLocks}, none},
		{"a limit that is read and then incremented", func() workload {
			l := newLimits()
			l.open = func(m *member, key string, p ratelimit.Policy) (limiter, error) {
				return bareLimiter{m.rdb, key}, nil
			}
			return l
		}, []*invariant{keptLimits}, none},
		{"HSET, then EXPIRE, in a process that may crash between them", func() workload {
			s := newSessions()
			s.open = func(m *member, key string, ttl time.Duration) (visitor, error) {
				return bareVisits{crashing(m), key, ttl}, nil
			}
			return s
		}, []*invariant{everyTTL}, none},
		{"INCR, then EXPIRE, in a process that may crash between them", func() workload {
			l := newLimits()
			l.open = func(m *member, key string, p ratelimit.Policy) (limiter, error) {
				return bareLimiter{crashing(m), key}, nil
			}
			return l
		}, []*invariant{everyTTL}, none},
		{"a subscription that reports no gap", func() workload {
			e := newEvents()
			listen := e.listen
			e.listen = func(ctx context.Context, m *member) (stream, error) {
				s, err := listen(ctx, m)
				return silentStream{s}, err
			}
			return e
		}, []*invariant{accountedEvents}, none},
		{"a channel without a history, taken for one with it", func() workload {
			h := newHeals()
			h.history = pubsub.History{}
			return h
		}, []*invariant{healedEvents}, cuts},
		{"a hub that hands a message on twice", healsWith(func(m, next message) []message { return []message{m, m, next} }), []*invariant{healedEvents}, none},
		{"a hub that loses a message without a gap", healsWith(func(_, next message) []message { return []message{next} }), []*invariant{healedEvents}, none},
		{"a hub that exchanges two messages", healsWith(func(m, next message) []message { return []message{next, m} }), []*invariant{healedEvents}, none},
		{"a service that loses an answer", func() workload { return forgetful{newServices()} }, []*invariant{storedOnce}, none},
		{"a call that ends late, and a recovery that takes too long", func() workload { return &late{} }, []*invariant{boundedCalls, recovery}, none},
		{"a cache that waits although Redis is known to be down", func() workload {
			o := newOutages(true)
			open := o.open
			o.open = func(m *member) (loader, error) {
				c, err := open(m)
				return slowLoader{c}, err
			}
			return o
		}, []*invariant{quickAnswers}, outage},
		{"a client that stays with the old server", func() workload { return stayer{newSessions()} }, []*invariant{exactUpdates}, move},
		{"a client that sends a forbidden command and stays connected", func() workload { return &intruder{} }, []*invariant{grants, noGrowth}, none},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			found := newLedger() // of all rounds, because a race may need several to show
			for range 10 {
				rd := &round{ledger: newLedger(), t: t, topology: c.fault.topology(t), seed: rand.Uint64()}
				rd.connect()
				rd.run(c.fault, time.Second, c.load())
				missing := false
				for _, inv := range c.want {
					found.failures[inv] += rd.failures[inv]
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

// crashing returns m's client, as in a process that crashes before every tenth EXPIRE.
func crashing(m *member) redis.UniversalClient {
	var expiries atomic.Int64
	m.rdb.AddHook(redistest.Commands(func(next func() error, names ...string) error {
		if names[0] == "pexpire" && expiries.Add(1)%10 == 0 {
			return errors.New("crashed")
		}
		return next()
	}))
	return m.rdb
}

// bareLists is a cache as it is often written: GET, load, SET.
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

// frozenCopies keeps every value that it has read, and never asks again.
type frozenCopies struct {
	rdb  redis.UniversalClient
	mu   sync.Mutex
	kept map[string]int64
}

func (d *frozenCopies) Get(ctx context.Context, id string) (int64, error) {
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

func (*frozenCopies) Close() error { return nil }

// restless answers each GET with a greater number than the one before.
type restless struct{ last atomic.Int64 }

func (r *restless) raise(cmd redis.Cmder) {
	if get, ok := cmd.(*redis.StringCmd); ok && cmd.Name() == "get" {
		get.SetVal(strconv.FormatInt(1_000_000+r.last.Add(1), 10))
	}
}

func (r *restless) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *restless) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		r.raise(cmd)
		return err
	}
}

func (r *restless) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			r.raise(cmd)
		}
		return err
	}
}

// bareVisits keeps sessions with separate commands, none of which is atomic with another.
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

// bareLocker locks with SET NX and releases with DEL, which removes a lock of any holder.
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

// Fence returns a number that another holder may get too.
func (b bareLock) Fence(ctx context.Context) (int64, error) { return time.Now().UnixMilli(), nil }

func (bareLock) Trusted() (time.Time, bool) { return time.Now(), true }

func (b bareLock) Release(ctx context.Context) error { return b.rdb.Del(ctx, b.key).Err() }

// bareLimiter reads the count, then increments it, then sets the TTL of a new count.
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

// silentStream does not report gaps.
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

// healsWith returns heals whose readers receive, instead of one message in the middle and the
// next one of its publisher, what alter returns.
func healsWith(alter func(m, next message) []message) func() workload {
	return func() workload {
		h := newHeals()
		listen := h.listen
		h.listen = func(ctx context.Context, topic *pubsub.Topic[tick]) (stream, error) {
			s, err := listen(ctx, topic)
			return alteredStream{s, alter}, err
		}
		return h
	}
}

// alteredSeq is the number of the message that alteredStream alters.
const alteredSeq = 20

type message = pubsub.Message[tick]

type alteredStream struct {
	stream
	alter func(m, next message) []message
}

func (s alteredStream) Subscribe() reading {
	return &alteredReading{reading: s.stream.Subscribe(), alter: s.alter, held: map[string]message{}}
}

type alteredReading struct {
	reading
	alter func(m, next message) []message
	held  map[string]message // by publisher
	ready []message
}

func (r *alteredReading) Next(ctx context.Context) (message, error) {
	for len(r.ready) == 0 {
		m, err := r.reading.Next(ctx)
		if err != nil {
			return m, err
		}
		from := m.Value.From
		switch held, ok := r.held[from]; {
		case m.Value.Seq == alteredSeq:
			r.held[from] = m
		case ok:
			r.ready = r.alter(held, m)
			delete(r.held, from)
		default:
			return m, nil
		}
	}
	m := r.ready[0]
	r.ready = r.ready[1:]
	return m, nil
}

// moveBehind is moveAddress to a replica that has missed the last moments.
func moveBehind(rd *round, duration time.Duration) {
	s := rd.topology
	s.run(s.standby, "replicaof", "no", "one")
	time.Sleep(duration)
	moveAddress(true)(rd, 0)
}

// forgetful loses the last answer that a service has confirmed.
type forgetful struct{ *services }

func (f forgetful) check(rd *round) {
	db, err := sql.Open("sqlite", f.path)
	if err != nil {
		rd.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(context.Background(), `DELETE FROM messages WHERE id = ?`, f.said[len(f.said)-1].Answer.ID); err != nil {
		rd.t.Fatal(err)
	}
	f.services.check(rd)
}

// stayer has sessions of which one member always uses the first server.
type stayer struct{ *sessions }

func (s stayer) start(rd *round) {
	old := rd.topology.admin(rd.topology.server)
	rd.t.Cleanup(func() { old.Close() })
	s.open = func(m *member, key string, ttl time.Duration) (visitor, error) {
		if m == rd.members[0] {
			m = &member{rdb: old}
		}
		return openVisits(m, key, ttl)
	}
	s.sessions.start(rd)
}

// slowLoader adds maxDelay to every call, as if it waited for Redis.
type slowLoader struct{ loader }

func (v slowLoader) GetOrLoad(ctx context.Context, id string, load func(context.Context, string) (list, error)) (list, error) {
	time.Sleep(maxDelay)
	return v.loader.GetOrLoad(ctx, id, load)
}

// intruder lists all keys, which the access rules forbid, and leaves a connection open.
type intruder struct{}

func (*intruder) start(rd *round) {
	rd.members[0].rdb.Keys(context.Background(), "*")
	rd.topology.admin(rd.topology.server).Ping(context.Background())
}

func (*intruder) works(context.Context, *member) error { return nil }

func (*intruder) check(*round) {}

func (*intruder) close() error { return nil }

// late makes one call that takes too long, and recovers too late.
type late struct {
	rd    *round
	began time.Time
	calls atomic.Int32
}

func (l *late) start(rd *round) { l.rd, l.began = rd, time.Now() }

func (l *late) works(context.Context, *member) error {
	if l.calls.Add(1) == 1 {
		l.rd.within("a late call", 0, func(context.Context) { time.Sleep(slack + 100*time.Millisecond) })
	}
	if time.Since(l.began) < 2200*time.Millisecond {
		return errors.New("not yet")
	}
	return nil
}

func (*late) check(*round) {}

func (*late) close() error { return nil }
