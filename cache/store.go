package cache

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/pipeline"
	"github.com/convkit/rediskit/internal/script"
)

//go:embed acquire.lua
var acquireLua string

//go:embed fill.lua
var fillLua string

//go:embed absent.lua
var absentLua string

//go:embed release.lua
var releaseLua string

//go:embed set.lua
var setLua string

var (
	acquireScript = script.New(acquireLua)
	fillScript    = script.New(fillLua)
	absentScript  = script.New(absentLua)
	releaseScript = script.New(releaseLua)
	setScript     = script.New(setLua)
)

// The kinds of siblings that a cache keeps beside its keys.
const (
	kindLease = "lease"
	kindStale = "stale"
)

// A store is what a cache sends to Redis.
type store struct {
	rdb   redis.UniversalClient
	reads *pipeline.Combiner
	cfg   Config
}

// An entry is what a read found under one key.
type entry struct {
	data  string
	found bool
	left  time.Duration // to live, or noTTL, where it was asked for
	err   error
}

// get sends one GET.
func (s *store) get(ctx context.Context, key string) entry {
	get := redis.NewStringCmd(ctx, "get", key)
	if err := s.reads.Process(ctx, key, get); err != nil {
		return entry{err: err}
	}
	return entryOf(get)
}

// read sends one GET, with RefreshAhead preceded by PTTL.
func (s *store) read(ctx context.Context, key string) entry {
	if s.cfg.RefreshAhead > 0 {
		return s.getLeft(ctx, key)
	}
	return s.get(ctx, key)
}

// getLeft sends PTTL and GET in one round trip: in that order a TTL never
// belongs to a newer value than the one read.
func (s *store) getLeft(ctx context.Context, key string) entry {
	ttl := redis.NewDurationCmd(ctx, time.Millisecond, "pttl", key)
	get := redis.NewStringCmd(ctx, "get", key)
	if err := s.reads.Process(ctx, key, ttl, get); err != nil {
		return entry{err: err}
	}
	e := entryOf(get)
	e.left = ttl.Val()
	return e
}

// readMany reads in one round trip, on a Cluster one to each master: MGET on
// a single server, else a pipeline, because MGET must not cross slots.
func (s *store) readMany(ctx context.Context, keys []string) []entry {
	if len(keys) == 1 {
		return []entry{s.read(ctx, keys[0])}
	}
	if _, single := s.rdb.(*redis.Client); !single || s.cfg.RefreshAhead > 0 {
		return readPiped(ctx, s.rdb, keys, s.cfg.RefreshAhead > 0)
	}
	entries := make([]entry, len(keys))
	values, err := s.mget(ctx, keys)
	if err == nil && len(values) != len(keys) {
		err = script.ErrReply
	}
	for i := range entries {
		if err != nil {
			entries[i].err = err
			continue
		}
		entries[i].data, entries[i].found = values[i].(string)
	}
	return entries
}

func (s *store) mget(ctx context.Context, keys []string) ([]any, error) {
	args := make([]any, 1, 1+len(keys))
	args[0] = "mget"
	for _, key := range keys {
		args = append(args, key)
	}
	mget := redis.NewSliceCmd(ctx, args...)
	if err := s.reads.Process(ctx, keys[0], mget); err != nil {
		return nil, err
	}
	return mget.Result()
}

func readPiped(ctx context.Context, rdb redis.Cmdable, keys []string, withTTL bool) []entry {
	pipe := rdb.Pipeline()
	gets := make([]*redis.StringCmd, len(keys))
	ttls := make([]*redis.DurationCmd, len(keys))
	for i, key := range keys {
		if withTTL {
			ttls[i] = pipe.PTTL(ctx, key)
		}
		gets[i] = pipe.Get(ctx, key)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	entries := make([]entry, len(keys))
	for i := range entries {
		entries[i] = entryOf(gets[i])
		if withTTL {
			entries[i].left = ttls[i].Val()
		}
	}
	return entries
}

func entryOf(get *redis.StringCmd) entry {
	data, err := get.Result()
	if err == redis.Nil { //nolint:errorlint // go-redis returns it as it is, and every hit passes here
		return entry{}
	}
	return entry{data: data, found: err == nil, err: err}
}

// stale reads the stale copies of keys.
func (s *store) stale(ctx context.Context, keyList []string) []entry {
	copies := make([]string, len(keyList))
	for i, key := range keyList {
		copies[i] = keys.Sibling(kindStale, key)
	}
	return readPiped(ctx, s.rdb, copies, false)
}

// delete unlinks each key with its siblings, which ends every load that
// began before it.
func (s *store) delete(ctx context.Context, keyList []string) error {
	pipe := s.rdb.Pipeline()
	unlinks := make([]*redis.IntCmd, len(keyList))
	for i, key := range keyList {
		unlinks[i] = pipe.Unlink(ctx, key, keys.Sibling(kindLease, key), keys.Sibling(kindStale, key))
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	var first error
	var moving []string
	for i, unlink := range unlinks {
		switch err := unlink.Err(); {
		case redis.HasErrorPrefix(err, "TRYAGAIN"):
			moving = append(moving, keyList[i])
		case err != nil && first == nil:
			first = err
		}
	}
	return errors.Join(first, s.deleteMoving(ctx, moving))
}

// deleteMoving is delete for keys whose slot is moving to another master:
// those of one slot are in two places then, and only single keys can be
// reached. Leases go first: a fill after that would be too late to remove.
func (s *store) deleteMoving(ctx context.Context, keyList []string) error {
	leases, values := s.rdb.Pipeline(), s.rdb.Pipeline()
	for _, key := range keyList {
		leases.Unlink(ctx, keys.Sibling(kindLease, key))
		values.Unlink(ctx, key)
		values.Unlink(ctx, keys.Sibling(kindStale, key))
	}
	if _, err := leases.Exec(ctx); err != nil {
		return err
	}
	_, err := values.Exec(ctx)
	return err
}

func (s *store) acquireCall(fl *flight) script.Call {
	lease := s.cfg.LoadTimeout + leaseMargin
	return script.Call{
		Script: acquireScript,
		Keys:   []string{fl.key, keys.Sibling(kindLease, fl.key)},
		Args:   []any{fl.token, lease.Milliseconds(), fl.replaces},
	}
}

// acquired is what acquire.lua returned.
type acquired struct {
	status string
	value  string // with the status "value"
	pttl   int64  // with the status "owned"
}

func readAcquired(cmd *redis.Cmd) (a acquired, err error) {
	reply, err := cmd.Slice()
	if err != nil {
		return a, err
	}
	var ok bool
	switch {
	case len(reply) == 1:
		a.status, _ = reply[0].(string)
		ok = a.status == "absent" || a.status == "held"
	case len(reply) == 2 && reply[0] == "value":
		a.status = "value"
		a.value, ok = reply[1].(string)
	case len(reply) == 2 && reply[0] == "owned":
		a.status = "owned"
		a.pttl, ok = reply[1].(int64)
	}
	if !ok {
		return acquired{}, script.ErrReply
	}
	return a, nil
}

func (s *store) fillCall(fl *flight, data []byte) script.Call {
	ttl := s.ttl()
	return script.Call{
		Script: fillScript,
		Keys:   family(fl.key),
		Args:   []any{fl.token, data, ttl.Milliseconds(), s.staleMillis(ttl), fl.replaces, fl.pttl},
	}
}

func (s *store) absentCall(fl *flight) script.Call {
	return script.Call{
		Script: absentScript,
		Keys:   family(fl.key),
		Args:   []any{fl.token, s.cfg.NegativeTTL.Milliseconds(), fl.replaces, fl.pttl},
	}
}

func (s *store) releaseCall(fl *flight) script.Call {
	return script.Call{
		Script: releaseScript,
		Keys:   []string{keys.Sibling(kindLease, fl.key)},
		Args:   []any{fl.token},
	}
}

func (s *store) setCall(key string, data []byte) script.Call {
	ttl := s.ttl()
	return script.Call{
		Script: setScript,
		Keys:   family(key),
		Args:   []any{data, ttl.Milliseconds(), s.staleMillis(ttl)},
	}
}

// family is a key with its siblings.
func family(key string) []string {
	return []string{key, keys.Sibling(kindLease, key), keys.Sibling(kindStale, key)}
}

// ttl is the TTL of one value, shortened by its jitter.
func (s *store) ttl() time.Duration {
	ttl := s.cfg.TTL - time.Duration(rand.Float64()*s.cfg.Jitter*float64(s.cfg.TTL))
	return max(ttl, time.Millisecond)
}

// tooLarge says whether an encoded value may not be stored.
func (s *store) tooLarge(data []byte) bool {
	return s.cfg.MaxValueBytes > 0 && len(data) > s.cfg.MaxValueBytes
}

func (s *store) staleMillis(ttl time.Duration) int64 {
	if s.cfg.StaleFor == 0 {
		return 0
	}
	return (ttl + s.cfg.StaleFor).Milliseconds()
}

// digest is what redis.sha1hex says of the same bytes.
func digest(data string) string {
	sum := sha1.Sum([]byte(data))
	return hex.EncodeToString(sum[:])
}
