package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	gocache "github.com/eko/gocache/lib/v4/cache"
	"github.com/eko/gocache/lib/v4/marshaler"
	"github.com/eko/gocache/lib/v4/store"
	gocacheredis "github.com/eko/gocache/store/redis/v4"
	rediscache "github.com/go-redis/cache/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/jsoncodec"
)

const ttl = time.Hour // longer than any contest

// A read returns the value that was stored when its reader was opened.
type read[V any] func(context.Context) (V, error)

// A reader is a way to cache a value and to read it.
type reader[V any] struct {
	by   string
	open func(a *arena, value V) read[V]
}

// remote returns readers that ask Redis for each read.
func remote[V any]() []reader[V] {
	return []reader[V]{
		{"rediskit", rediskitRead[V]},
		{"bare-GET", bareGET[V]},
		{"bare-GET+decoder", bareParts[V]},
		{"go-redis+encoding-json", goRedisRead[V]},
		{"go-redis-cache", goRedisCacheRead[V]},
		{"gocache", gocacheRead[V]},
		{"rueidis", rueidisRead[V]},
	}
}

// nearby returns readers of rediskit that keep copies in the process, which the server
// invalidates. shared names the one that returns the same decoded value to all callers,
// own the one that keeps bytes and decodes them for each caller.
func nearby[V any](shared, own string) []reader[V] {
	return []reader[V]{{shared, nearRead[V](true)}, {own, nearRead[V](false)}}
}

// inProcess returns readers of peers that keep a copy in the process. The server
// invalidates the copies of rueidis. Nothing invalidates those of TinyLFU.
func inProcess[V any]() []reader[V] {
	return []reader[V]{
		{"go-redis-cache+TinyLFU", tinyLFURead[V]},
		{"rueidis-cached", rueidisCachedRead[V]},
	}
}

// hits reads a value that is cached in Redis.
func hits[V any](name string, value V) contest {
	return contest{name: name, goroutines: levels, enter: func(a *arena) []contestant {
		return enterReaders(a, value, remote[V]())
	}}
}

// nearHits reads a value that is cached in the process.
func nearHits[V any](name string, value V) contest {
	return contest{name: name, goroutines: levels, enter: func(a *arena) []contestant {
		return enterReaders(a, value, nearby[V]("rediskit", "rediskit-decoding"), inProcess[V]())
	}}
}

// enterReaders opens readers, and checks that each reads the value that it has stored.
func enterReaders[V any](a *arena, value V, readers ...[]reader[V]) []contestant {
	var entered []contestant
	for _, r := range slices.Concat(readers...) {
		read := r.open(a, value)
		got := must(read(a.ctx))
		if r.by != "bare-GET" && !bytes.Equal(toJSON(got), toJSON(value)) {
			check(fmt.Errorf("%s read another value than it stored", r.by))
		}
		entered = append(entered, contestant{by: r.by, call: func(ctx context.Context, _ int) error {
			_, err := read(ctx)
			return err
		}})
	}
	return entered
}

func rediskitRead[V any](a *arena, value V) read[V] {
	return rediskitCached(a, value, cache.Config{Key: "conversations:*:list", TTL: ttl})
}

func nearRead[V any](readOnly bool) func(a *arena, value V) read[V] {
	return func(a *arena, value V) read[V] {
		return rediskitCached(a, value, nearConfig(readOnly))
	}
}

func nearConfig(readOnly bool) cache.Config {
	return cache.Config{
		Key: "conversations:*:list", TTL: ttl,
		Local: cache.Local{MaxEntries: 1000, MaxAge: ttl, ReadOnly: readOnly},
	}
}

func rediskitCached[V any](a *arena, value V, cfg cache.Config) read[V] {
	c := must(cache.New[V](a.rediskit(), cfg))
	a.owns(c)
	check(c.Set(a.ctx, "1", value))
	for cfg.Local.MaxEntries > 0 && c.Stats().LocalHits == 0 { // until the process keeps it
		must(c.Get(a.ctx, "1"))
		time.Sleep(time.Millisecond)
	}
	return func(ctx context.Context) (V, error) { return c.GetOrLoad(ctx, "1", nil) }
}

// bareGET reads the bytes and does not decode them.
func bareGET[V any](a *arena, value V) read[V] {
	rdb := a.goRedis()
	check(rdb.Set(a.ctx, "bare", toJSON(value), ttl).Err())
	return func(ctx context.Context) (none V, err error) {
		_, err = rdb.Get(ctx, "bare").Bytes()
		return none, err
	}
}

// bareParts reads with the parts of which a hit of rediskit consists: GET and decoder.
func bareParts[V any](a *arena, value V) read[V] {
	codec := jsoncodec.For[V]()
	return goRedisDecoding(a, "parts", value, codec.Decode)
}

func goRedisRead[V any](a *arena, value V) read[V] {
	return goRedisDecoding(a, "byhand", value, func(data []byte) (v V, err error) {
		err = json.Unmarshal(data, &v)
		return v, err
	})
}

func goRedisDecoding[V any](a *arena, key string, value V, decode func([]byte) (V, error)) read[V] {
	rdb := a.goRedis()
	check(rdb.Set(a.ctx, key, toJSON(value), ttl).Err())
	return func(ctx context.Context) (none V, err error) {
		data, err := rdb.Get(ctx, key).Bytes()
		if err != nil {
			return none, err
		}
		return decode(data)
	}
}

func goRedisCacheRead[V any](a *arena, value V) read[V] {
	return goRedisCached(a, "rediscache", value, nil)
}

func tinyLFURead[V any](a *arena, value V) read[V] {
	return goRedisCached(a, "tinylfu", value, rediscache.NewTinyLFU(1000, ttl))
}

func goRedisCached[V any](a *arena, key string, value V, local rediscache.LocalCache) read[V] {
	c := rediscache.New(&rediscache.Options{Redis: a.goRedis(), LocalCache: local})
	check(c.Set(&rediscache.Item{Ctx: a.ctx, Key: key, Value: value, TTL: ttl}))
	return func(ctx context.Context) (v V, err error) {
		err = c.Get(ctx, key, &v)
		return v, err
	}
}

func gocacheRead[V any](a *arena, value V) read[V] {
	c := marshaler.New(gocache.New[any](gocacheredis.NewRedis(a.goRedis(), store.WithExpiration(ttl))))
	check(c.Set(a.ctx, "gocache", value))
	return func(ctx context.Context) (v V, err error) {
		_, err = c.Get(ctx, "gocache", &v)
		return v, err
	}
}

func rueidisRead[V any](a *arena, value V) read[V] {
	rdb := a.rueidis(false)
	check(rdb.Do(a.ctx, rdb.B().Set().Key("rueidis").Value(string(toJSON(value))).Ex(ttl).Build()).Error())
	return func(ctx context.Context) (v V, err error) {
		err = rdb.Do(ctx, rdb.B().Get().Key("rueidis").Build()).DecodeJSON(&v)
		return v, err
	}
}

func rueidisCachedRead[V any](a *arena, value V) read[V] {
	rdb := a.rueidis(true)
	check(rdb.Do(a.ctx, rdb.B().Set().Key("rueidis-cached").Value(string(toJSON(value))).Ex(ttl).Build()).Error())
	return func(ctx context.Context) (v V, err error) {
		err = rdb.DoCache(ctx, rdb.B().Get().Key("rueidis-cached").Cache(), ttl).DecodeJSON(&v)
		return v, err
	}
}
