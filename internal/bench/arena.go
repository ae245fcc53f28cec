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

// An arena has what the contestants of one contest share: the server, equal settings for
// their clients, and a list of what must be closed at the end.
type arena struct {
	ctx     context.Context // ends with the run
	addr    string          // the address of the server
	slice   time.Duration   // the length of one contestant's turn
	short   bool            // the run only shows that everything works
	closers []func()
}

// The settings of every client, of the library and of its peers. rueidis sends all
// commands through a few connections and ignores its pool, so it keeps its own settings.
const (
	poolSize = 20
	timeout  = 10 * time.Second // long, so that no contestant wins because it gives up early
)

func (a *arena) onClose(f func()) { a.closers = append(a.closers, f) }

func (a *arena) owns(c io.Closer) { a.onClose(func() { _ = c.Close() }) }

// close closes what the contestants have opened, in reverse order.
func (a *arena) close() {
	for len(a.closers) > 0 {
		last := len(a.closers) - 1
		f := a.closers[last]
		a.closers = a.closers[:last]
		f()
	}
}

// unlessShort returns n, or a tenth of n in a short run.
func (a *arena) unlessShort(n int) int {
	if a.short {
		return max(n/10, 1)
	}
	return n
}

// rediskit returns the library's client, with its breaker.
func (a *arena) rediskit() redis.UniversalClient {
	rdb := must(rediskit.Connect(a.ctx, rediskit.Config{
		Addrs: []string{a.addr}, Password: secrets.None(), PoolSize: poolSize,
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
		Tune: func(o *redis.UniversalOptions) { o.PipelinePoolSize = poolSize },
	}))
	a.owns(rdb)
	return rdb
}

// goRedis returns a client of go-redis. As Connect does, it turns RESP 3 and maintenance
// notices off, because their cost has nothing to do with what is measured.
func (a *arena) goRedis() *redis.Client {
	rdb := redis.NewClient(&redis.Options{
		Addr: a.addr, Protocol: 2, PoolSize: poolSize, PipelinePoolSize: poolSize,
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
		ContextTimeoutEnabled: true, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	a.owns(rdb)
	return rdb
}

// rueidis returns a client of rueidis, with or without its client-side cache.
func (a *arena) rueidis(cached bool) rueidis.Client {
	rdb := must(rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{a.addr}, DisableCache: !cached, ConnWriteTimeout: timeout,
	}))
	a.onClose(rdb.Close)
	return rdb
}

// must returns v, or ends the preparation of a contest with err, which enter returns.
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

// enter prepares the contestants of c. Their names must be valid values of benchstat's
// /by.
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
