package lock

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/subscriber"
)

// A line is the waiters for one key in this process. One of them, whose turn
// it is, looks at the lock; the others cost Redis nothing.
type line struct {
	turn    chan struct{} // holds a token while it is somebody's turn
	rung    chan struct{} // holds a token once there may be something to see
	waiters int
	end     context.CancelFunc // of its subscription
}

func (ln *line) ring() {
	select {
	case ln.rung <- struct{}{}:
	default:
	}
}

// linger is how long the connection that hears of releases outlasts the last
// waiter: under contention the next one is not far.
const linger = 5 * time.Second

// join makes one more waiter for key; nil after Close.
func (k *Locker) join(key string) *line {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.life.Err() != nil {
		return nil
	}
	ln := k.lines[key]
	if ln == nil {
		ctx, end := context.WithCancel(k.life)
		ln = &line{turn: make(chan struct{}, 1), rung: make(chan struct{}, 1), end: end}
		k.lines[key] = ln
		sub, err := k.subscriber()
		k.running.Go(func() {
			if err == nil {
				err = k.listen(ctx, sub, ln, keys.Sibling(kindReleased, key))
			}
			if err != nil && ctx.Err() == nil {
				k.deaf(err)
			}
		})
	}
	ln.waiters++
	return ln
}

func (k *Locker) leave(key string, ln *line) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ln.waiters--; ln.waiters > 0 {
		return
	}
	ln.end()
	delete(k.lines, key)
	if len(k.lines) == 0 && k.hears != nil && k.life.Err() == nil {
		k.lingering = time.AfterFunc(linger, k.hangUp)
	}
}

// listen rings ln for what is announced on channel, and once when announcements
// begin to be heard: what was released before that was not.
func (k *Locker) listen(ctx context.Context, sub *subscriber.Subscriber, ln *line, channel string) error {
	if err := sub.Subscribe(ctx, channel); err != nil {
		return err
	}
	ln.ring()
	<-ctx.Done()
	sub.Unsubscribe(channel)
	return nil
}

// subscriber returns the one connection that hears of releases. It needs k.mu.
func (k *Locker) subscriber() (*subscriber.Subscriber, error) {
	if k.lingering != nil {
		k.lingering.Stop()
		k.lingering = nil
	}
	if k.hears != nil {
		return k.hears, nil
	}
	sub, err := subscriber.New(k.rdb, subscriber.Config{
		OnMessage: k.released,
		OnGap:     k.missed,
		OnError:   k.deaf,
	})
	if err == nil {
		k.hears = sub
	}
	return sub, err
}

// hangUp ends the connection, unless somebody waits again.
func (k *Locker) hangUp() {
	k.mu.Lock()
	sub := k.hears
	if len(k.lines) > 0 || sub == nil || k.life.Err() != nil {
		k.mu.Unlock()
		return
	}
	k.hears = nil
	k.running.Add(1)
	k.mu.Unlock()
	defer k.running.Done()
	if err := sub.Close(); err != nil {
		k.deaf(err)
	}
}

// released rings for one key.
func (k *Locker) released(m *redis.Message) {
	key, _ := keys.KeyOf(kindReleased, m.Channel)
	k.mu.Lock()
	defer k.mu.Unlock()
	if ln := k.lines[key]; ln != nil {
		ln.ring()
	}
}

// missed rings for all keys: any of them may have been released unheard.
func (k *Locker) missed(error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, ln := range k.lines {
		ln.ring()
	}
}

// deaf tells that releases are not heard, so that waiters depend on Poll.
func (k *Locker) deaf(err error) {
	k.report.Tell(context.Background(), k.report.Fail("listen for releases", err))
}
