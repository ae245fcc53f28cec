package report_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/report"
)

func TestAnErrorNamesOperationAndObjectOnce(t *testing.T) {
	sentinel := errors.New("cache: miss")
	err := report.New("cache", "lists", nil).Fail("get", sentinel)
	if got, want := err.Error(), "cache: get lists: miss"; got != want || !errors.Is(err, sentinel) {
		t.Errorf("got %q, want %q around the sentinel", got, want)
	}
}

func TestPlusVPrintsTheStackOfAPanicOnce(t *testing.T) {
	panicked := &life.PanicError{Value: "canary", Stack: []byte("the stack")}
	for _, inner := range []error{panicked, fmt.Errorf("wrapped: %w", panicked)} {
		r := report.New("cache", "lists", nil)
		err := r.Fail("refresh", r.Fail("load", inner))
		if got, want := fmt.Sprintf("%+v", err), err.Error()+"\nthe stack"; got != want {
			t.Errorf("%%+v prints %q, want %q", got, want)
		}
		if got := fmt.Sprintf("%v, %s", err, err); got != err.Error()+", "+err.Error() {
			t.Errorf("%%v and %%s print %q", got)
		}
		if got, want := fmt.Sprintf("%q", err), strconv.Quote(err.Error()); got != want {
			t.Errorf("%%q prints %s, want %s", got, want)
		}
	}
	plain := report.New("cache", "lists", nil).Fail("get", io.EOF)
	if got := fmt.Sprintf("%+v", plain); got != "cache: get lists: EOF" {
		t.Errorf("%%+v prints %q", got)
	}
}

func TestAnErrorOfTheClientIsCountedUnlessTheContextHasEnded(t *testing.T) {
	r := report.New("cache", "lists", nil)
	if err := r.Redis(t.Context(), "get", io.EOF); !errors.Is(err, io.EOF) || r.RedisErrors() != 1 {
		t.Errorf("got %v, counted %d", err, r.RedisErrors())
	}
	for name, end := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"cancelled": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx, cancel
		},
		"past its deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, -time.Second)
		},
	} {
		ctx, cancel := end(t.Context())
		err := r.Redis(ctx, "get", io.EOF)
		if !errors.Is(err, io.EOF) || !errors.Is(err, ctx.Err()) || r.RedisErrors() != 1 {
			t.Errorf("%s: got %v, counted %d", name, err, r.RedisErrors())
		}
		cancel()
	}
}

type quoting struct{}

func (quoting) Error() string { return `strconv: parsing "canary"` }

func TestAnErrorOfTheClientQuotesNothing(t *testing.T) {
	if err := report.New("cache", "lists", nil).Redis(t.Context(), "get", quoting{}); strings.Contains(err.Error(), "canary") {
		t.Error(err)
	}
}

func TestClientRefusesTheClientsThatPackagesCannotUse(t *testing.T) {
	ring := redis.NewRing(&redis.RingOptions{})
	defer ring.Close()
	for _, rdb := range []redis.UniversalClient{nil, ring, (*redis.Client)(nil), (*redis.ClusterClient)(nil)} {
		if err := report.Client("cache", rdb); err == nil || !strings.HasPrefix(err.Error(), "cache: ") {
			t.Errorf("%T: %v", rdb, err)
		}
	}
	single := redis.NewClient(&redis.Options{})
	defer single.Close()
	if err := report.Client("cache", single); err != nil {
		t.Error(err)
	}
}
