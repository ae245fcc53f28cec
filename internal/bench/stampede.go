package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	gocache "github.com/eko/gocache/lib/v4/cache"
	"github.com/eko/gocache/lib/v4/store"
	gocacheredis "github.com/eko/gocache/store/redis/v4"
	rediscache "github.com/go-redis/cache/v9"
	"github.com/redis/go-redis/v9"
	"golang.org/x/perf/benchfmt"

	"github.com/convkit/rediskit/cache"
)

const (
	stampedeProcesses = 8
	loadTime          = 100 * time.Millisecond
)

// A miss reads id, or calls load and stores its result.
type miss func(ctx context.Context, id string, load func(context.Context) (string, error)) (string, error)

var stampeders = []struct {
	by   string
	open func(*arena) miss
}{
	{"rediskit", rediskitMiss},
	{"go-redis-cache", goRedisCacheMiss},
	{"gocache", gocacheMiss},
	{"GET,load,SET", byHandMiss},
}

// stampede lets 10,000 goroutines in eight processes miss one id at the same time. It
// measures the time until the last of them has the value, and the number of loads.
func stampede(name string) contest {
	return contest{name: name, enter: func(a *arena) []contestant {
		goroutines := a.unlessShort(10_000 / stampedeProcesses)
		herds := make([]*herd, stampedeProcesses)
		for i := range herds {
			herds[i] = must(startHerd(a, goroutines))
		}
		rdb, id := a.goRedis(), 0
		var entered []contestant
		for _, s := range stampeders {
			entered = append(entered, contestant{by: s.by, round: func(ctx context.Context) ([]benchfmt.Value, error) {
				id++
				name := fmt.Sprintf("%s:%d", s.by, id)
				began := time.Now()
				for _, h := range herds {
					fmt.Fprintf(h.in, "%s %s\n", s.by, name)
				}
				for _, h := range herds {
					if !h.out.Scan() {
						return nil, errors.New("a process of the stampede has ended")
					}
					if answer := h.out.Text(); answer != "ok" {
						return nil, errors.New(answer)
					}
				}
				took := time.Since(began)
				loads, err := rdb.Get(ctx, "loads:"+name).Float64()
				return []benchfmt.Value{{Value: float64(took), Unit: "ns/op"}, {Value: loads, Unit: "loads/op"}}, err
			}})
		}
		return entered
	}}
}

// A herd is one process of the stampede. It runs this program with herdCommand.
type herd struct {
	in  io.Writer
	out *bufio.Scanner
}

const herdCommand = "herd"

func startHerd(a *arena, goroutines int) (*herd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(a.ctx, self, herdCommand, a.addr, fmt.Sprint(goroutines))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	a.onClose(func() {
		in.Close() // ends the process
		_ = cmd.Wait()
	})
	return &herd{in, bufio.NewScanner(out)}, nil
}

// runHerd is the program of a herd. Each line of in is a contestant and an id. runHerd
// answers it on out once all its goroutines have the value of the id.
func runHerd(a *arena, goroutines int, in io.Reader, out io.Writer) {
	misses := map[string]miss{}
	for _, s := range stampeders {
		misses[s.by] = s.open(a)
	}
	rdb := a.goRedis()
	for lines := bufio.NewScanner(in); lines.Scan(); {
		by, id, _ := strings.Cut(lines.Text(), " ")
		load := func(ctx context.Context) (string, error) {
			time.Sleep(loadTime)
			return "value of " + id, rdb.Incr(ctx, "loads:"+id).Err()
		}
		var all sync.WaitGroup
		var failure atomic.Value
		for range goroutines {
			all.Go(func() {
				v, err := misses[by](a.ctx, id, load)
				if err == nil && v != "value of "+id {
					err = errors.New("answered with another value")
				}
				if err != nil {
					failure.Store(fmt.Sprintf("%s: %v", by, err))
				}
			})
		}
		all.Wait()
		if reason := failure.Load(); reason != nil {
			fmt.Fprintf(out, "%v\n", reason)
		} else {
			fmt.Fprintf(out, "ok\n")
		}
	}
}

func rediskitMiss(a *arena) miss {
	c := must(cache.New[string](a.rediskit(), cache.Config{Key: "conversations:*:list", TTL: ttl}))
	a.owns(c)
	return func(ctx context.Context, id string, load func(context.Context) (string, error)) (string, error) {
		return c.GetOrLoad(ctx, id, func(ctx context.Context, _ string) (string, error) { return load(ctx) })
	}
}

func goRedisCacheMiss(a *arena) miss {
	c := rediscache.New(&rediscache.Options{Redis: a.goRedis()})
	return func(ctx context.Context, id string, load func(context.Context) (string, error)) (v string, err error) {
		err = c.Once(&rediscache.Item{Ctx: ctx, Key: id, Value: &v, TTL: ttl, Do: func(*rediscache.Item) (any, error) {
			return load(ctx)
		}})
		return v, err
	}
}

// loaderKey is the context key with which a call passes its loader to gocache, which has
// one loader for all calls.
type loaderKey struct{}

func gocacheMiss(a *arena) miss {
	c := gocache.NewLoadable(func(ctx context.Context, _ any) (any, []store.Option, error) {
		v, err := ctx.Value(loaderKey{}).(func(context.Context) (string, error))(ctx)
		return v, nil, err
	}, gocache.New[any](gocacheredis.NewRedis(a.goRedis(), store.WithExpiration(ttl))))
	a.owns(c)
	return func(ctx context.Context, id string, load func(context.Context) (string, error)) (string, error) {
		v, err := c.Get(context.WithValue(ctx, loaderKey{}, load), id)
		text, _ := v.(string)
		return text, err
	}
}

func byHandMiss(a *arena) miss {
	rdb := a.goRedis()
	return func(ctx context.Context, id string, load func(context.Context) (string, error)) (string, error) {
		v, err := rdb.Get(ctx, id).Result()
		if !errors.Is(err, redis.Nil) {
			return v, err
		}
		if v, err = load(ctx); err != nil {
			return "", err
		}
		return v, rdb.Set(ctx, id, v, ttl).Err()
	}
}
