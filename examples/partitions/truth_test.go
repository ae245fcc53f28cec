package partitions

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

// A truth writes and publishes at the server that counts, through its Unix socket, which no
// fault reaches. So it knows what a client should see.
type truth struct {
	tag  string
	stop context.CancelFunc
	done chan struct{}

	mu       sync.Mutex
	server   *redis.Client // nil while none counts
	n        int           // of the last version, which is also the last message
	release  bool          // the lock of the waiter, before the next version
	released int64
	written  map[int]int64 // by version: when Redis had confirmed it
	sent     []message
}

func newTruth(tag string) *truth {
	ctx, stop := context.WithCancel(context.Background())
	h := &truth{tag: tag, stop: stop, done: make(chan struct{}), written: map[int]int64{}}
	go func() {
		defer close(h.done)
		for ctx.Err() == nil {
			h.write(ctx)
			time.Sleep(10 * time.Millisecond)
		}
	}()
	return h
}

// end returns once nothing is written any more.
func (h *truth) end() {
	h.stop()
	<-h.done
}

// moveTo makes p the server that counts; none if p is nil.
func (h *truth) moveTo(p *redistest.Process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.server = nil
	if p != nil {
		h.server = p.SocketClient()
	}
}

// releaseSoon gives back the lock for which the waiter waits.
func (h *truth) releaseSoon() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.release = true
}

// last returns the number of the last message.
func (h *truth) last() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n
}

func (h *truth) write(ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.server == nil {
		return
	}
	if h.release {
		if err := h.server.Del(ctx, lockPrefix(h.tag)+waitedID).Err(); err == nil {
			h.release, h.released = false, now()
		}
	}
	h.n++
	if err := h.server.Set(ctx, nearPrefix(h.tag)+nearID, h.n, time.Minute).Err(); err == nil {
		h.written[h.n] = now()
	}
	text, _ := json.Marshal(letter{direct, h.n})
	start := now()
	for _, kind := range []string{rediskitKind, plainKind} {
		if err := h.server.Publish(ctx, channelOf(h.tag, kind), text).Err(); err != nil {
			return
		}
	}
	h.sent = append(h.sent, message{h.n, start})
}
