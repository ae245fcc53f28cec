package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/pubsub"
)

// A remote is the part of a member that can be suspended: a process with the member's near
// cache, hub and locker. It answers the models over HTTP. A call of a model is longer than
// what the process does for it, so what holds for the one holds for the other.
type remote struct {
	*redistest.ChildProcess
	url    string
	client *http.Client
}

// startRemote starts a process that connects to the server at addr.
func startRemote(t testing.TB, addr, password string) *remote {
	r := &remote{
		ChildProcess: redistest.Spawn(t, remoteProgram, addr, password),
		client:       &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 50}},
	}
	r.url = r.Line()
	return r
}

// end ends the process. It returns an error unless that closes everything.
func (r *remote) end() error {
	r.client.CloseIdleConnections()
	r.Send("end")
	if line := r.Line(); line != "closed" {
		return errors.New(line)
	}
	return r.Wait()
}

// An answer is what the process says to one question.
type answer struct {
	Value  int64     // a number, a fence, an object
	At     time.Time // when the process looked
	Tick   tick
	Stats  cache.Stats
	Missed uint64
	Error  string
}

// The errors that models tell from others.
const (
	saidMiss = "miss"
	saidGap  = "gap"
	saidLost = "gap of unknown size"
)

func (r *remote) ask(ctx context.Context, what string, of any) (a answer, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+what+"?of="+url.QueryEscape(fmt.Sprint(of)), nil)
	if err != nil {
		return a, err
	}
	res, err := r.client.Do(req)
	if err != nil {
		return a, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
		return a, err
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

type remoteCopies struct{ *remote }

func (r remoteCopies) Get(ctx context.Context, id string) (int64, error) {
	a, err := r.ask(ctx, "/get", id)
	if a.Error == saidMiss {
		return 0, cache.ErrMiss
	}
	return a.Value, err
}

func (r remoteCopies) stats(ctx context.Context) (cache.Stats, error) {
	a, err := r.ask(ctx, "/stats", "")
	return a.Stats, err
}

func (remoteCopies) Close() error { return nil }

type remoteLocker struct{ *remote }

func (r remoteLocker) Acquire(ctx context.Context, id string) (holding, error) {
	a, err := r.ask(ctx, "/acquire", id)
	return remoteLock{r.remote, a.Value}, err
}

func (remoteLocker) Close() error { return nil }

type remoteLock struct {
	*remote
	number int64
}

func (l remoteLock) Fence(ctx context.Context) (int64, error) {
	a, err := l.ask(ctx, "/fence", l.number)
	return a.Value, err
}

func (l remoteLock) Trusted() (time.Time, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	a, err := l.ask(ctx, "/trusted", l.number)
	return a.At, err == nil
}

func (l remoteLock) Release(ctx context.Context) error {
	_, err := l.ask(ctx, "/release", l.number)
	return err
}

type remoteStream struct{ *remote }

func (r remoteStream) Subscribe() reading {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	a, err := r.ask(ctx, "/subscribe", "")
	return remoteReading{r.remote, a.Value, err}
}

func (r remoteStream) Shutdown(ctx context.Context) error {
	_, err := r.ask(ctx, "/shutdown", "")
	return err
}

func (remoteStream) Close() error { return nil }

type remoteReading struct {
	*remote
	number int64
	err    error
}

func (r remoteReading) Next(ctx context.Context) (pubsub.Message[tick], error) {
	if r.err != nil {
		return pubsub.Message[tick]{}, r.err
	}
	a, err := r.ask(ctx, "/next", r.number)
	switch a.Error {
	case saidGap:
		err = &pubsub.GapError{Missed: a.Missed}
	case saidLost:
		err = &pubsub.GapError{Missed: a.Missed, Cause: errors.New("the connection was lost")}
	}
	return pubsub.Message[tick]{Value: a.Tick}, err
}

func (r remoteReading) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	_, _ = r.ask(ctx, "/unsubscribe", r.number)
}

// suspensions are the faults of a client that stands still.
var suspensions = []fault{
	{name: "client suspended for 4 s (SIGSTOP)", topology: suspendable, inject: suspend, duration: 4 * time.Second},
	{name: "client suspended for 40 s (SIGSTOP)", topology: suspendable, inject: suspend, duration: 40 * time.Second, slow: true},
}

func suspendable(t testing.TB) *topology {
	s := plain()(t)
	s.remote = true
	return s
}

func suspend(rd *round, duration time.Duration) {
	process := rd.members[0].remote
	process.Pause()
	time.Sleep(duration)
	process.Resume()
}
