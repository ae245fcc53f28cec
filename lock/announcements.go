package lock

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/subscriber"
)

// idleTime is how long the connection that receives announcements is kept after the last
// waiter has left: where locks are contended, the next waiter comes soon.
const idleTime = 5 * time.Second

// listen wakes the leader of w at each announcement on channel, and once when announcements
// begin to arrive: those before that were missed.
func (k *Locker) listen(ctx context.Context, sub *subscriber.Subscriber, w *waiters, channel string) error {
	if err := sub.Subscribe(ctx, channel); err != nil {
		return err
	}
	w.wakeLeader()
	<-ctx.Done()
	sub.Unsubscribe(channel)
	return nil
}

// subscriber returns the one connection that receives announcements. It needs k.mu.
func (k *Locker) subscriber() (*subscriber.Subscriber, error) {
	if k.idle != nil {
		k.idle.Stop()
		k.idle = nil
	}
	if k.releases != nil {
		return k.releases, nil
	}
	sub, err := subscriber.New(k.rdb, subscriber.Config{
		OnMessage: k.announced,
		OnGap:     k.mayHaveMissed,
		OnError:   k.notListening,
	})
	if err == nil {
		k.releases = sub
	}
	return sub, err
}

// disconnect closes that connection, unless a waiter has come meanwhile.
func (k *Locker) disconnect() {
	defer life.Recover(k.panicked) // it runs on a timer
	k.mu.Lock()
	sub := k.releases
	if len(k.waiting) > 0 || sub == nil || !k.life.Begin() {
		k.mu.Unlock()
		return
	}
	defer k.life.Done()
	k.releases = nil
	k.mu.Unlock()
	if err := sub.Close(); err != nil {
		k.notListening(err)
	}
}

// announced wakes the leader of the key whose release was announced.
func (k *Locker) announced(m *redis.Message) {
	key, _ := keys.KeyOf(kindReleased, m.Channel)
	k.mu.Lock()
	defer k.mu.Unlock()
	if w := k.waiting[key]; w != nil {
		w.wakeLeader()
	}
}

// mayHaveMissed wakes all leaders: any of their locks may have been released unannounced.
func (k *Locker) mayHaveMissed(error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, w := range k.waiting {
		w.wakeLeader()
	}
}

// notListening reports that announcements do not arrive, so that waiters depend on Poll.
func (k *Locker) notListening(err error) {
	k.report.OnError(context.Background(), k.report.Fail("listen for releases", err))
}
