package session

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/hashcodec"
	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/report"
	"github.com/convkit/rediskit/internal/sender"
)

// A Store keeps sessions of one type, each a hash under the id of one object. It is safe
// for concurrent use. It owns no goroutine and no connection, so there is nothing to
// close. Make it with New, once per type of session.
type Store[S any] struct {
	rdb     redis.UniversalClient
	sender  *sender.Sender
	cfg     Config
	pattern keys.Pattern
	report  *report.Reporter
	stats   *counters
	clock   *clock
	codec   *hashcodec.Codec[S] // sessions as hashes
	changes *operations         // changes of sessions, each made once
}

// New returns a store over rdb: a client of a single server, of Sentinel or of a Cluster.
// It sends nothing. A setting that is missing or impossible is an error that names it, as
// is a field of S that a hash cannot hold; the package's documentation says which can. A
// client that rediskit.Connect did not make should have ContextTimeoutEnabled set, or
// calls outlast their contexts. A *redis.Ring is refused.
func New[S any](rdb redis.UniversalClient, cfg Config) (*Store[S], error) {
	if err := report.Client("session", rdb); err != nil {
		return nil, err
	}
	cfg, pattern, err := cfg.complete(rdb)
	if err != nil {
		return nil, err
	}
	codec, err := hashcodec.New[S](untilField)
	if err != nil {
		return nil, fmt.Errorf("session: New: %w", err)
	}
	s := &Store[S]{
		rdb: rdb, sender: sender.New(rdb, cfg.NoPipelining), cfg: cfg, pattern: pattern,
		report: report.New("session", cfg.Name, cfg.OnError),
		stats:  &counters{}, clock: newClock(), codec: codec,
	}
	s.changes = &operations{
		sender: s.sender, pattern: pattern, cfg: cfg,
		report: s.report, stats: s.stats, clock: s.clock,
	}
	for _, f := range codec.Fields() {
		if f.Touch {
			s.changes.touch = f.Name
		}
	}
	return s, nil
}

// Create stores v as the session of id, or returns ErrExists. The field tagged
// touch gets the server's time, whatever v has there. On ErrUnreplicated the
// session was stored.
//
// One round trip: a script of HSET and PEXPIRE, and WAIT with Config.Replicas.
func (s *Store[S]) Create(ctx context.Context, id string, v S) error {
	r, err := s.store(ctx, operation{name: "create", id: id, script: createScript}, &v)
	switch {
	case err != nil:
		return err
	case r.status == exists:
		return s.report.Fail("create", ErrExists)
	}
	s.stats.creates.Add(1)
	return r.unreplicated
}

// Put stores v as the session of id, in place of what is there, fields of
// other services included. Where there was a session, its MaxLifetime goes on,
// and its field tagged touch does not go backwards. On ErrUnreplicated the
// session was stored.
//
// One round trip: a script of DEL, HSET and PEXPIRE, and WAIT with
// Config.Replicas.
func (s *Store[S]) Put(ctx context.Context, id string, v S) error {
	r, err := s.store(ctx, operation{name: "put", id: id, script: putScript}, &v)
	if err != nil {
		return err
	}
	s.stats.puts.Add(1)
	return r.unreplicated
}

// Get returns the session of id, or ErrNotFound. It changes nothing, the TTL
// included. A hash that is no S is ErrCorrupt.
//
// One round trip: HGETALL.
func (s *Store[S]) Get(ctx context.Context, id string) (S, error) {
	hash, err := s.read(ctx, "get", id)
	if err != nil {
		return *new(S), err
	}
	return s.answer("get", hash, &s.stats.gets)
}

// Touch gives the session of id its TTL anew, stamps its field tagged touch,
// and returns it; or ErrNotFound: it never brings one back. The stamp is the
// server's time, and never goes backwards. On ErrCorrupt the session was
// touched all the same, as on ErrUnreplicated, beside which it is returned.
//
// One round trip: a script of HGETALL, PEXPIRE and HSET, and WAIT with
// Config.Replicas, unless Replicas.SkipTouch is set.
func (s *Store[S]) Touch(ctx context.Context, id string) (S, error) {
	r, err := s.changes.run(ctx, operation{
		name: "touch", id: id, script: touchScript, twice: true, alone: s.cfg.Replicas.SkipTouch,
	})
	if err != nil {
		return *new(S), err
	}
	return s.changed("touch", r, &s.stats.touches)
}

// Update changes the session of id by fn and returns it as it was stored.
//
// fn gets a copy to change. What it has changed is written if no field that S
// has, but for the one tagged touch, was written by anyone meanwhile, in
// another language or by this package; else fn is called anew with what there
// is now, until ctx ends. So fn may run several times, but only the last run
// is applied, once. Fields that fn did not change, or S does not have, are not
// written. What fn sets in the field tagged touch is ignored. An fn that changes
// the same session through the store makes its own Update start over, until ctx
// ends.
//
// If fn returns an error, nothing is sent and Update returns that very error.
// A session that is not there, or expires meanwhile, is ErrNotFound and stays
// away. If the reply was lost, the session that is returned may show what came
// after, and is ErrNotFound if it ended meanwhile. On ErrUnreplicated the last
// run of fn was applied, and the session is returned beside the error: a second
// Update would apply fn twice.
//
// Two round trips: HGETALL, then a script of HGETALL, HSET, HDEL and PEXPIRE,
// and WAIT with Config.Replicas; one more for each time that fn is
// called anew.
func (s *Store[S]) Update(ctx context.Context, id string, fn func(*S) error) (S, error) {
	var none S
	if fn == nil {
		return none, s.report.Fail("update", errNoFunction)
	}
	hash, err := s.read(ctx, "update", id)
	if err != nil {
		return none, err
	}
	for pause := firstConflictPause; ; pause = min(2*pause, lastConflictPause) {
		v, err := s.open("update", hash)
		if err != nil {
			return none, err
		}
		before, _ := s.codec.Encode(&v) // nil, if what was read cannot be written: then all of it is new
		if err := fn(&v); err != nil {
			return none, err
		}
		after, err := s.encode("update", &v)
		if err != nil {
			return none, err
		}
		r, err := s.changes.run(ctx, operation{
			name: "update", id: id, script: updateScript,
			args: s.difference(hash, before, after),
		})
		switch {
		case err != nil:
			return none, err
		case r.status != conflict:
			return s.changed("update", r, &s.stats.updates)
		}
		s.stats.retries.Add(1)
		if !life.Sleep(ctx, rand.N(pause)) {
			return none, s.report.Fail("update", fmt.Errorf("%w: %w: other writers kept changing the session", ctx.Err(), ErrConflict))
		}
		hash = r.hash
	}
}

// Pauses before fn is called anew are random, from zero up to these.
const (
	firstConflictPause = time.Millisecond
	lastConflictPause  = 50 * time.Millisecond
)

// Delete removes the session of id. That there is none is no error. On
// ErrUnreplicated it was removed, but a failover may bring it back: repeat the
// Delete to have it acknowledged.
//
// One round trip: a script of DEL, and WAIT with Config.Replicas.
func (s *Store[S]) Delete(ctx context.Context, id string) error {
	r, err := s.changes.run(ctx, operation{name: "delete", id: id, script: deleteScript})
	if err != nil {
		return err
	}
	s.stats.deletes.Add(1)
	return r.unreplicated
}

// Stats returns what the store has counted so far.
func (s *Store[S]) Stats() Stats { return s.stats.snapshot(s.report.RedisErrors()) }

// Name is Config.Name.
func (s *Store[S]) Name() string { return s.cfg.Name }

// store runs an operation that sends the whole of v.
func (s *Store[S]) store(ctx context.Context, o operation, v *S) (reply, error) {
	texts, err := s.encode(o.name, v)
	if err != nil {
		return reply{}, err
	}
	for i, f := range s.codec.Fields() {
		if texts[i].Present {
			o.args = append(o.args, f.Name, texts[i].Value)
		}
	}
	return s.changes.run(ctx, o)
}

func (s *Store[S]) encode(op string, v *S) ([]hashcodec.Text, error) {
	texts, err := s.codec.Encode(v)
	if err != nil {
		return nil, s.report.Fail(op, fmt.Errorf("%w: %w", ErrInvalid, err))
	}
	for _, text := range texts {
		if text.Present {
			return texts, nil
		}
	}
	return nil, s.report.Fail(op, fmt.Errorf("%w: no field has a value, and Redis keeps no empty hash", ErrInvalid))
}

// answer is open for a call that returns the session, and counts it.
func (s *Store[S]) answer(op string, hash map[string]string, count *atomic.Uint64) (S, error) {
	v, err := s.open(op, hash)
	if err == nil {
		count.Add(1)
	}
	return v, err
}

// changed is answer for a change. The session is there beside an ErrUnreplicated.
func (s *Store[S]) changed(op string, r reply, count *atomic.Uint64) (S, error) {
	v, err := s.answer(op, r.hash, count)
	switch {
	case err == nil:
		err = r.unreplicated
	case r.unreplicated != nil:
		err = fmt.Errorf("%w; %w", err, r.unreplicated)
	}
	return v, err
}

// open returns the session in a hash that was read.
func (s *Store[S]) open(op string, hash map[string]string) (S, error) {
	var v S
	if len(hash) == 0 || s.ended(hash) {
		s.stats.notFound.Add(1)
		return v, s.report.Fail(op, ErrNotFound)
	}
	if err := s.codec.Decode(hash, &v); err != nil {
		s.stats.corrupt.Add(1)
		return *new(S), s.report.Fail(op, fmt.Errorf("%w: %w", ErrCorrupt, err))
	}
	return v, nil
}

// difference returns the arguments of update.lua: what was read, and what is to be
// written.
func (s *Store[S]) difference(hash map[string]string, before, after []hashcodec.Text) []any {
	var read, set, remove []any
	left := 0 // fields of S that the hash will have
	fields := s.codec.Fields()
	for i, f := range fields {
		if f.Touch {
			continue
		}
		text, present := hash[f.Name]
		read = append(read, f.Name, present, text)
		changed := before == nil || before[i] != after[i]
		switch {
		case changed && after[i].Present:
			set = append(set, f.Name, after[i].Value)
		case changed && present:
			remove = append(remove, f.Name)
			continue
		}
		if present || changed && after[i].Present {
			left++
		}
	}
	if left == 0 { // a hash without fields is gone: write those that it lacked too
		for i, f := range fields {
			if after[i].Present {
				set = append(set, f.Name, after[i].Value)
			}
		}
	}
	args := append([]any{len(read) / 3}, read...)
	args = append(append(args, len(set)/2), set...)
	return append(args, remove...)
}
