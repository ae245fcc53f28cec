package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/redis/rueidis"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/secrets"
)

// An arena is what the contestants of one contest share: the server, equal settings
// for their clients, and an end to all that they opened.
type arena struct {
	ctx     context.Context // ends with the run
	addr    string          // where clients find the server
	slice   time.Duration   // how long one contestant has its turn
	short   bool            // only to show that it works
	closers []func()
}

// Settings of every client, the library's and the peers'. rueidis sends all commands
// through few connections, whatever its pool; it keeps its own.
const (
	poolSize = 20
	patience = 10 * time.Second // nobody may win by giving up early
)

func (a *arena) onClose(f func()) { a.closers = append(a.closers, f) }

func (a *arena) owns(c io.Closer) { a.onClose(func() { _ = c.Close() }) }

// close ends what the contestants opened, last first.
func (a *arena) close() {
	for len(a.closers) > 0 {
		last := len(a.closers) - 1
		f := a.closers[last]
		a.closers = a.closers[:last]
		f()
	}
}

// unlessShort is n, or a tenth of it when nobody looks at the figures.
func (a *arena) unlessShort(n int) int {
	if a.short {
		return max(n/10, 1)
	}
	return n
}

// rediskit is the library's client, breaker included.
func (a *arena) rediskit() redis.UniversalClient {
	rdb := must(rediskit.Connect(a.ctx, rediskit.Config{
		Addrs: []string{a.addr}, Password: secrets.None(), PoolSize: poolSize,
		DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience, PoolTimeout: patience,
		Tune: func(o *redis.UniversalOptions) { o.PipelinePoolSize = poolSize },
	}))
	a.owns(rdb)
	return rdb
}

// goRedis is a client of go-redis's own, with what Connect too leaves out: RESP 3 and
// maintenance notices, which cost time that has nothing to do with the question.
func (a *arena) goRedis() *redis.Client {
	rdb := redis.NewClient(&redis.Options{
		Addr: a.addr, Protocol: 2, PoolSize: poolSize, PipelinePoolSize: poolSize,
		DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience, PoolTimeout: patience,
		ContextTimeoutEnabled: true, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	a.owns(rdb)
	return rdb
}

// rueidis is a client of rueidis's own, with its client-side cache or without.
func (a *arena) rueidis(cached bool) rueidis.Client {
	rdb := must(rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{a.addr}, DisableCache: !cached, ConnWriteTimeout: patience,
	}))
	a.onClose(rdb.Close)
	return rdb
}

// must ends the contest on an error of its preparation; enter returns it.
func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		panic(unprepared{err})
	}
}

type unprepared struct{ error }

// enter prepares the contestants of c. Their names must be values of benchstat's /by.
func (a *arena) enter(c contest) (entered []contestant, err error) {
	defer func() {
		switch reason := recover().(type) {
		case nil:
		case unprepared:
			err = fmt.Errorf("%s: %w", c.name, reason.error)
		default:
			panic(reason)
		}
	}()
	entered = c.enter(a)
	for _, by := range entered {
		if strings.ContainsAny(by.by, "/ ") {
			return nil, fmt.Errorf("%s: the name %q has a slash or a space in it", c.name, by.by)
		}
	}
	return entered, nil
}
