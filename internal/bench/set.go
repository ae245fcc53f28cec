package main

import (
	"context"
	"strconv"

	rediscache "github.com/go-redis/cache/v9"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
)

// setsAndDeletes stores a value and deletes it again. Each goroutine has an id of its own.
func setsAndDeletes[V any](name string, value V) contest {
	return contest{name: name, goroutines: levels, enter: func(a *arena) []contestant {
		ours := must(cache.New[V](a.rediskit(), cache.Config{Key: "set:*", TTL: ttl}))
		a.owns(ours)
		theirs, rdb := rediscache.New(&rediscache.Options{Redis: a.goRedis()}), a.goRedis()
		return []contestant{
			{by: "rediskit", call: func(ctx context.Context, g int) error {
				if err := ours.Set(ctx, strconv.Itoa(g), value); err != nil {
					return err
				}
				return ours.Delete(ctx, strconv.Itoa(g))
			}},
			{by: "go-redis-cache", call: func(ctx context.Context, g int) error {
				key := "set-theirs:" + strconv.Itoa(g)
				if err := theirs.Set(&rediscache.Item{Ctx: ctx, Key: key, Value: value, TTL: ttl}); err != nil {
					return err
				}
				return theirs.Delete(ctx, key)
			}},
			{by: "go-redis+encoding-json", call: func(ctx context.Context, g int) error {
				return setAndDelete(ctx, rdb, "set-hand:"+strconv.Itoa(g), toJSON(value))
			}},
		}
	}}
}

func setAndDelete(ctx context.Context, rdb *redis.Client, key string, value []byte) error {
	if err := rdb.Set(ctx, key, value, ttl).Err(); err != nil {
		return err
	}
	return rdb.Del(ctx, key).Err()
}
