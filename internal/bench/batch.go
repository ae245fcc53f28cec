package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/jsoncodec"
)

// batches reads a thousand cached values at once, all hits.
func batches[V any](name string, value V) contest {
	return contest{name: name, goroutines: []int{2, 16}, enter: func(a *arena) []contestant {
		n := a.unlessShort(1000)
		c := must(cache.New[V](a.rediskit(), cache.Config{Key: "conversations:*:list", TTL: ttl}))
		a.owns(c)
		ids, keys, values := make([]string, n), make([]string, n), make(map[string]V, n)
		for i := range n {
			ids[i] = strconv.Itoa(i)
			keys[i] = "conversations:" + ids[i] + ":list"
			values[ids[i]] = value
		}
		check(c.SetMany(a.ctx, values))

		codec := jsoncodec.For[V]()
		all := func(by string, read func(context.Context) (map[string]V, error)) contestant {
			return contestant{by: by, call: func(ctx context.Context, _ int) error {
				got, err := read(ctx)
				if err == nil && len(got) != n {
					err = fmt.Errorf("read %d values of %d", len(got), n)
				}
				return err
			}}
		}
		return []contestant{
			all("rediskit", func(ctx context.Context) (map[string]V, error) { return c.GetOrLoadMany(ctx, ids, nil) }),
			all("bare-MGET+decoder", mget(a, keys, codec.Decode)),
			all("go-redis+encoding-json", mget(a, keys, func(data []byte) (v V, err error) {
				err = json.Unmarshal(data, &v)
				return v, err
			})),
			all("rueidis", rueidisMGet[V](a, keys)),
		}
	}}
}

func mget[V any](a *arena, keys []string, decode func([]byte) (V, error)) func(context.Context) (map[string]V, error) {
	rdb := a.goRedis()
	return func(ctx context.Context) (map[string]V, error) {
		texts, err := rdb.MGet(ctx, keys...).Result()
		values := make(map[string]V, len(texts))
		for i, text := range texts {
			text, _ := text.(string)
			if values[keys[i]], err = decode([]byte(text)); err != nil {
				return nil, err
			}
		}
		return values, err
	}
}

func rueidisMGet[V any](a *arena, keys []string) func(context.Context) (map[string]V, error) {
	rdb := a.rueidis(false)
	return func(ctx context.Context) (map[string]V, error) {
		texts, err := rueidis.MGet(rdb, ctx, keys)
		values := make(map[string]V, len(texts))
		for key, text := range texts {
			var v V
			if err := text.DecodeJSON(&v); err != nil {
				return nil, err
			}
			values[key] = v
		}
		return values, err
	}
}
