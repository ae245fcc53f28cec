package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
	"github.com/convkit/rediskit/pubsub"
	"github.com/convkit/rediskit/secrets"
)

var remoteProgram = redistest.Child("member", func(args []string) {
	if err := serveMember(args[0], args[1]); err != nil {
		fmt.Println(err)
	}
})

// A process is what a remote has.
type process struct {
	near   *cache.Cache[int64]
	locker *lock.Locker
	hub    *pubsub.Hub[tick]

	mu  sync.Mutex
	all map[int64]any // its locks and subscriptions, by number
}

// serveMember is the process. It ends when its standard input does, or says so.
func serveMember(addr, password string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	rdb, err := rediskit.Connect(ctx, rediskit.Config{Addrs: []string{addr}, Password: secrets.File(password), Name: "chaos"})
	if err != nil {
		return err
	}
	m := &member{rdb: rdb}
	near, err := openCopies(m, "cache:copy:*")
	if err != nil {
		return err
	}
	locker, err := openLocks(m)
	if err != nil {
		return err
	}
	topic, err := newTopic(m)
	if err != nil {
		return err
	}
	hub, err := topic.Listen(ctx)
	if err != nil {
		return err
	}
	p := &process{near: near, locker: locker, hub: hub, all: map[int64]any{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: p.handler()}
	go func() { _ = server.Serve(listener) }()
	fmt.Printf("http://%s\n", listener.Addr())
	bufio.NewScanner(os.Stdin).Scan()
	if err := errors.Join(hub.Close(), server.Close(), locker.Close(), near.Close(), rdb.Close()); err != nil {
		return err
	}
	fmt.Println("closed")
	return nil
}

// handler answers the questions.
func (p *process) handler() http.Handler {
	mux := http.NewServeMux()
	for what, f := range map[string]func(ctx context.Context, of string) (answer, error){
		"/get": func(ctx context.Context, id string) (answer, error) {
			n, err := p.near.Get(ctx, id)
			return answer{Value: n}, err
		},
		"/stats": func(context.Context, string) (answer, error) {
			return answer{Stats: p.near.Stats()}, nil
		},
		"/acquire": func(ctx context.Context, id string) (answer, error) {
			held, err := p.locker.Acquire(ctx, id)
			if err != nil {
				return answer{}, err
			}
			return answer{Value: p.add(newLease(held))}, nil
		},
		"/fence": func(ctx context.Context, number string) (answer, error) {
			fence, err := p.get(number).(*lease).Fence(ctx)
			return answer{Value: fence}, err
		},
		"/trusted": func(_ context.Context, number string) (answer, error) {
			at := time.Now()
			return answer{At: at}, p.get(number).(*lease).trusted()
		},
		"/release": func(ctx context.Context, number string) (answer, error) {
			return answer{}, p.get(number).(*lease).Release(ctx)
		},
		"/subscribe": func(context.Context, string) (answer, error) {
			return answer{Value: p.add(p.hub.Subscribe())}, nil
		},
		"/next": func(ctx context.Context, number string) (answer, error) {
			got, err := p.get(number).(*pubsub.Subscription[tick]).Next(ctx)
			return answer{Tick: got.Value}, err
		},
		"/unsubscribe": func(_ context.Context, number string) (answer, error) {
			p.get(number).(*pubsub.Subscription[tick]).Close()
			return answer{}, nil
		},
		"/shutdown": func(ctx context.Context, _ string) (answer, error) { return answer{}, p.hub.Shutdown(ctx) },
	} {
		mux.HandleFunc(what, func(w http.ResponseWriter, r *http.Request) {
			a, err := f(r.Context(), r.FormValue("of"))
			_ = json.NewEncoder(w).Encode(a.with(err))
		})
	}
	return mux
}

func (a answer) with(err error) answer {
	var missing *pubsub.GapError
	switch {
	case err == nil:
	case errors.Is(err, cache.ErrMiss):
		a.Error = saidMiss
	case errors.As(err, &missing):
		a.Error, a.Missed = saidGap, missing.Missed
		if missing.Cause != nil {
			a.Error = saidLost
		}
	default:
		a.Error = err.Error()
	}
	return a
}

func (p *process) add(v any) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := int64(len(p.all) + 1)
	p.all[n] = v
	return n
}

func (p *process) get(number string) any {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, _ := strconv.ParseInt(number, 10, 64)
	return p.all[n]
}

// A lease is a lock that is released when nobody has asked about it for a second, as the
// model may not know that it has the lock.
type lease struct {
	*lock.Lock
	idle *time.Timer
}

func newLease(held *lock.Lock) *lease {
	return &lease{held, time.AfterFunc(time.Second, func() { _ = held.Release(context.Background()) })}
}

func (l *lease) trusted() error {
	l.idle.Reset(time.Second)
	return l.Context().Err()
}

func (l *lease) Release(ctx context.Context) error {
	l.idle.Stop()
	return l.Lock.Release(ctx)
}
