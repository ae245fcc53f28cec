package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/session"
)

// Sessions are compared with the commands that a service sends without a library. Each
// goroutine has a session of its own.

// A talk is the session of a conversation, as the voice platform's services store it.
type talk struct {
	SpeakerID    string    `redis:"speaker_id,required"`
	StartedAt    time.Time `redis:"started_at,required"`
	LastActivity time.Time `redis:"last_activity,touch"`
	State        state     `redis:"state,required"`
}

// A state is the value of talk.State.
type state string

const waitingForLLM state = "waiting_for_llm"

// byHand is a talk in the types that go-redis can scan.
type byHand struct {
	SpeakerID    string `redis:"speaker_id"`
	StartedAt    int64  `redis:"started_at"`
	LastActivity int64  `redis:"last_activity"`
	State        string `redis:"state"`
}

func gets(name string) contest {
	return contest{name: name, goroutines: levels, enter: func(a *arena) []contestant {
		store, rdb := sessions(a), a.goRedis()
		return []contestant{
			{by: "rediskit", call: func(ctx context.Context, g int) error {
				_, err := store.Get(ctx, strconv.Itoa(g))
				return err
			}},
			{by: "HGETALL+Scan", call: func(ctx context.Context, g int) error {
				return scan(rdb.HGetAll(ctx, sessionKey(g)))
			}},
		}
	}}
}

// touches compares Touch with a pipeline, which recreates sessions that have expired.
func touches(name string) contest {
	return contest{name: name, goroutines: levels, enter: func(a *arena) []contestant {
		store, rdb := sessions(a), a.goRedis()
		return []contestant{
			{by: "rediskit", call: func(ctx context.Context, g int) error {
				_, err := store.Touch(ctx, strconv.Itoa(g))
				return err
			}},
			{by: "HSET,PEXPIRE,HGETALL", call: func(ctx context.Context, g int) error {
				var all *redis.MapStringStringCmd
				_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
					p.HSet(ctx, sessionKey(g), "last_activity", time.Now().UnixMilli())
					p.PExpire(ctx, sessionKey(g), ttl)
					all = p.HGetAll(ctx, sessionKey(g))
					return nil
				})
				if err != nil {
					return err
				}
				return scan(all)
			}},
		}
	}}
}

func transitions(name string) contest {
	return contest{name: name, goroutines: levels, enter: func(a *arena) []contestant {
		store, rdb := sessions(a), a.goRedis()
		field := must(session.FieldOf[state](store, "state"))
		const from, to = waitingForLLM, waitingForLLM // the same, so that the call can be repeated
		return []contestant{
			{by: "rediskit", call: func(ctx context.Context, g int) error {
				_, err := field.Transition(ctx, strconv.Itoa(g), from, to)
				return err
			}},
			{by: "WATCH,HGET,MULTI", call: func(ctx context.Context, g int) error {
				return rdb.Watch(ctx, func(tx *redis.Tx) error {
					is, err := tx.HGet(ctx, sessionKey(g), "state").Result()
					if err == nil && is != string(from) {
						err = errors.New("conflict")
					}
					if err != nil {
						return err
					}
					_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
						p.HSet(ctx, sessionKey(g), "state", string(to))
						p.PExpire(ctx, sessionKey(g), ttl)
						return nil
					})
					return err
				}, sessionKey(g))
			}},
		}
	}}
}

func sessions(a *arena) *session.Store[talk] {
	store := must(session.New[talk](a.rediskit(), session.Config{Key: "session:*", TTL: ttl}))
	for g := range levels[len(levels)-1] {
		check(store.Create(a.ctx, strconv.Itoa(g), talk{
			SpeakerID: "user_1", StartedAt: time.Now(), State: waitingForLLM,
		}))
	}
	return store
}

func sessionKey(g int) string { return "session:" + strconv.Itoa(g) }

func scan(read *redis.MapStringStringCmd) error {
	var v byHand
	if err := read.Scan(&v); err != nil {
		return err
	}
	if len(read.Val()) == 0 {
		return errors.New("not found")
	}
	return nil
}
