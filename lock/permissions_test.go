package lock_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

// What the package's documentation says that a user needs is enough: no call
// fails, and OnError receives nothing.
func TestTheDocumentedPermissionsSuffice(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		_, limited := s.User("+@scripting +@connection +set +get +del +pexpire +pttl +time" +
			" +publish +subscribe +unsubscribe +ping" +
			" ~" + s.Prefix() + ":* ~rediskit:* &rediskit:released:*")
		var reported redistest.Recorder
		proxy := redistest.StartProxy(t, s.Addr())
		k := newLockerOn(t, s, s.Client(limited, func(o *redis.Options) { o.Addr = proxy.Addr() }), onError(&reported), never, ttl(600*time.Millisecond))

		l := mustTry(t, k, "1")
		if _, err := l.Fence(t.Context()); err != nil {
			t.Error(err)
		}
		waiting := acquire(t.Context(), k, "1")
		awaitListeners(t, s, "1", 1)
		redistest.Eventually(t, func() bool { return k.Stats().Renewals > 0 }, "the lock is renewed")
		mustRelease(t, l)
		mustRelease(t, got(t, waiting))
		if errs := reported.All(); len(errs) != 0 {
			t.Errorf("OnError received %v", errs)
		}

		lost := proxy.DropReply(keyOf(s, "2"))
		if _, err := k.Try(t.Context(), "2"); err == nil {
			t.Error("Try = nil though its reply was lost")
		}
		<-lost
		redistest.Eventually(t, func() bool { return !exists(t, s, "2") }, "the lock whose reply was lost is given back")
	})
}
