package cache

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/sender"
)

// A far store keeps encoded values in Redis. It knows keys, TTLs and commands; it
// knows nothing of types, loaders and callers.
type far struct {
	rdb     redis.UniversalClient
	sender  *sender.Sender
	pattern keys.Pattern
	cfg     Config
}

// The kinds of siblings that a cache keeps beside its keys.
const (
	kindLease = "lease"
	kindStale = "stale"
)

// An entry is what a read found under one key.
type entry struct {
	data  string
	found bool
	ttl   time.Duration // what is left of it, or noTTL; only if it was asked for
	err   error
}

// noTTL is the PTTL of a value without one, as go-redis returns it.
const noTTL time.Duration = -1

// onCluster reports whether keys are spread over several primaries.
func (f *far) onCluster() bool {
	_, cluster := f.rdb.(*redis.ClusterClient)
	return cluster
}

// get reads one key. With ttl it sends PTTL before GET, in one round trip: in this
// order the TTL never belongs to a newer value than the one that was read.
func (f *far) get(ctx context.Context, key string, ttl bool) entry {
	get := redis.NewStringCmd(ctx, "get", key)
	if !ttl {
		if err := f.sender.Do(ctx, sender.Read, key, get); err != nil {
			return entry{err: err}
		}
		return entryOf(get)
	}
	pttl := redis.NewDurationCmd(ctx, time.Millisecond, "pttl", key)
	if err := f.sender.Do(ctx, sender.Read, key, pttl, get); err != nil {
		return entry{err: err}
	}
	e := entryOf(get)
	e.ttl = pttl.Val()
	return e
}

// getMany reads several keys, in one round trip unless they are too many, on a Cluster
// one to each primary. On a single server without ttl it sends MGET; MGET must not cross
// slots.
func (f *far) getMany(ctx context.Context, keys []string, ttl bool) []entry {
	if len(keys) == 1 {
		return []entry{f.get(ctx, keys[0], ttl)}
	}
	if _, single := f.rdb.(*redis.Client); single && !ttl {
		return f.mget(ctx, keys)
	}
	return f.getManyOver(ctx, f.rdb, keys, ttl)
}

func (f *far) mget(ctx context.Context, keys []string) []entry {
	values, err := f.sender.MGet(ctx, keys)
	entries := make([]entry, len(keys))
	for i := range entries {
		if i >= len(values) {
			entries[i].err = err
			continue
		}
		entries[i].data, entries[i].found = values[i].(string)
	}
	return entries
}

// getManyOver reads keys over a client in pipelines, as get does.
func (f *far) getManyOver(ctx context.Context, rdb redis.UniversalClient, keys []string, ttl bool) []entry {
	return getManyBy(ctx, func(cmds []redis.Cmder) { f.sender.DoManyOver(ctx, rdb, sender.Repeatable, cmds...) }, keys, ttl)
}

// getManyBy reads keys with the commands that send sends.
func getManyBy(ctx context.Context, send func([]redis.Cmder), keys []string, ttl bool) []entry {
	cmds := make([]redis.Cmder, 0, 2*len(keys))
	gets := make([]*redis.StringCmd, len(keys))
	pttls := make([]*redis.DurationCmd, len(keys))
	for i, key := range keys {
		if ttl {
			pttls[i] = redis.NewDurationCmd(ctx, time.Millisecond, "pttl", key)
			cmds = append(cmds, pttls[i])
		}
		gets[i] = redis.NewStringCmd(ctx, "get", key)
		cmds = append(cmds, gets[i])
	}
	send(cmds)
	entries := make([]entry, len(keys))
	for i := range entries {
		entries[i] = entryOf(gets[i])
		if ttl {
			entries[i].ttl = pttls[i].Val()
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
func (f *far) stale(ctx context.Context, keyList []string) []entry {
	copies := make([]string, len(keyList))
	for i, key := range keyList {
		copies[i] = keys.Sibling(kindStale, key)
	}
	return f.getManyOver(ctx, f.rdb, copies, false)
}

// set stores values by their keys, each with a script that ends the loads of its key.
func (f *far) set(ctx context.Context, keys []string, values [][]byte) []*redis.Cmd {
	calls := make([]sender.Call, len(keys))
	for i, key := range keys {
		ttl := f.ttl()
		calls[i] = sender.Call{
			Script: setScript,
			Keys:   family(key),
			Args:   []any{values[i], ttl.Milliseconds(), f.staleMillis(ttl)},
		}
	}
	return f.sender.RunMany(ctx, sender.Change, calls...)
}

// delete unlinks each key with its siblings. That ends every load that began before.
func (f *far) delete(ctx context.Context, keyList []string) error {
	unlinks := make([]redis.Cmder, len(keyList))
	for i, key := range keyList {
		unlinks[i] = unlink(ctx, family(key)...)
	}
	if len(keyList) == 1 {
		if err := f.sender.Do(ctx, sender.Repeatable, keyList[0], unlinks[0]); err != nil {
			return err
		}
	} else {
		f.sender.DoMany(ctx, sender.Repeatable, unlinks...)
	}
	var first error
	var moving []string
	for i, unlink := range unlinks {
		switch err := unlink.Err(); {
		case redis.IsTryAgainError(err):
			moving = append(moving, keyList[i])
		case err != nil && first == nil:
			first = err
		}
	}
	return errors.Join(first, f.deleteMoving(ctx, moving))
}

// deleteMoving is delete for keys whose slot moves to another primary. The keys of
// such a slot are at two places, and only a command with a single key reaches it.
// Leases go first: a fill that came after the value's end would be too late to
// remove.
func (f *far) deleteMoving(ctx context.Context, keyList []string) error {
	var leases, values []redis.Cmder
	for _, key := range keyList {
		leases = append(leases, unlink(ctx, keys.Sibling(kindLease, key)))
		values = append(values, unlink(ctx, key), unlink(ctx, keys.Sibling(kindStale, key)))
	}
	for _, cmds := range [][]redis.Cmder{leases, values} {
		f.sender.DoMany(ctx, sender.Repeatable, cmds...)
		for _, cmd := range cmds {
			if err := cmd.Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

func unlink(ctx context.Context, keys ...string) *redis.IntCmd {
	args := make([]any, 1, 1+len(keys))
	args[0] = "unlink"
	for _, key := range keys {
		args = append(args, key)
	}
	return redis.NewIntCmd(ctx, args...)
}

// family returns a key with its siblings.
func family(key string) []string {
	return []string{key, keys.Sibling(kindLease, key), keys.Sibling(kindStale, key)}
}

// ttl returns the TTL of one value, shortened by its jitter.
func (f *far) ttl() time.Duration {
	ttl := f.cfg.TTL - time.Duration(rand.Float64()*f.cfg.Jitter*float64(f.cfg.TTL))
	return max(ttl, time.Millisecond)
}

// staleMillis returns the TTL of the stale copy of a value, 0 for no copy.
func (f *far) staleMillis(ttl time.Duration) int64 {
	if f.cfg.StaleFor == 0 {
		return 0
	}
	return (ttl + f.cfg.StaleFor).Milliseconds()
}

// tooLarge reports whether an encoded value may not be stored.
func (f *far) tooLarge(data []byte) bool {
	return f.cfg.MaxValueBytes > 0 && len(data) > f.cfg.MaxValueBytes
}

// digest returns what redis.sha1hex returns for the same bytes.
func digest(data string) string {
	sum := sha1.Sum([]byte(data))
	return hex.EncodeToString(sum[:])
}
