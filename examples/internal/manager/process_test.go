package manager

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
)

func TestTheSessionHasTheStateOfItsMessage(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		s := newService(t, r.Addr(), r.Prefix())
		if got := s.state(t); got != "none" {
			t.Errorf("before the first message the session is %s", got)
		}
		for range 2 { // with a new session, then with an existing one
			g := s.assistant.hold()
			answered := make(chan answer)
			go func() { answered <- s.say(t, "E amanhã?") }()
			<-g.reached
			if got := s.state(t); got != "waiting_for_llm" {
				t.Errorf("while the assistant thinks the session is %s", got)
			}
			close(g.open)
			if a := <-answered; a.status != http.StatusCreated || !strings.Contains(string(a.body), answerTo("E amanhã?")) {
				t.Errorf("status %d: %s", a.status, a.body)
			}
			if got := s.state(t); got != "answered" {
				t.Errorf("after the answer the session is %s", got)
			}
		}
		s.assistant.err = errors.New("out of memory")
		if a := s.say(t, "E depois?"); a.status != http.StatusBadGateway || !strings.Contains(string(a.body), "stored") {
			t.Errorf("status %d: %s", a.status, a.body)
		}
		if got := s.state(t); got != "listening" {
			t.Errorf("after a failure the session is %s", got)
		}
	})
}

func TestRedisHoldsTheSessionAsOtherServicesReadIt(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		s := newService(t, r.Addr(), r.Prefix())
		before := time.Now().UnixMilli()
		s.say(t, "Oi")
		hash := r.Client().HGetAll(t.Context(), "session:"+s.talk).Val()
		if len(hash) != 4 || hash["speaker_id"] != s.speaker || hash["state"] != "answered" {
			t.Errorf("the hash is %v", hash)
		}
		for _, name := range []string{"started_at", "last_activity"} {
			var ms int64
			if err := json.Unmarshal([]byte(hash[name]), &ms); err != nil || ms < before || ms > before+60_000 {
				t.Errorf("%s is %q, want milliseconds as Date.now() returns them", name, hash[name])
			}
		}
		if ttl := r.Client().PTTL(t.Context(), "session:"+s.talk).Val(); ttl <= 4*time.Minute || ttl > 5*time.Minute {
			t.Errorf("the session's TTL is %v, want 5 minutes", ttl)
		}
	})
}

// A service in another language may write one field of a session that has expired. It
// leaves a hash that is no session and has no TTL.
func TestAMessageReplacesAHashThatIsNoSession(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		s := newService(t, r.Addr(), r.Prefix())
		rdb, key := r.Client(), "session:"+s.talk
		rdb.HSet(t.Context(), key, "last_activity", time.Now().UnixMilli())
		if a := s.say(t, "Oi"); a.status != http.StatusCreated {
			t.Errorf("status %d: %s", a.status, a.body)
		}
		if got := s.state(t); got != "answered" {
			t.Errorf("after the answer the session is %s", got)
		}
		if ttl := rdb.PTTL(t.Context(), key).Val(); ttl <= 0 {
			t.Errorf("the session's TTL is %v", ttl)
		}
	})
}

func TestADuplicateIsRefusedWhileTheFirstIsProcessed(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		s := newService(t, r.Addr(), r.Prefix())
		g := s.assistant.hold()
		first := make(chan answer)
		go func() { first <- s.say(t, "E amanhã?") }()
		<-g.reached
		a := s.say(t, "E amanhã?")
		if a.status != http.StatusConflict || !strings.Contains(string(a.body), "already being processed") || a.header.Get("Retry-After") == "" {
			t.Errorf("status %d: %s", a.status, a.body)
		}
		close(g.open)
		if a := <-first; a.status != http.StatusCreated {
			t.Errorf("status %d: %s", a.status, a.body)
		}
		if a := s.say(t, "E depois?"); a.status != http.StatusCreated {
			t.Errorf("after the answer: status %d: %s", a.status, a.body)
		}
	})
}

// A service in another language takes the lock with SET NX and releases it with DEL.
func TestALockOfAnotherProgramIsRespected(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		s := newService(t, r.Addr(), r.Prefix())
		rdb, key := r.Client(), "lock:conversation:"+s.talk
		if err := rdb.SetNX(t.Context(), key, "locked", 10*time.Second).Err(); err != nil {
			t.Fatal(err)
		}
		if a := s.say(t, "Oi"); a.status != http.StatusConflict {
			t.Errorf("status %d: %s", a.status, a.body)
		}
		rdb.Del(t.Context(), key)
		if a := s.say(t, "Oi"); a.status != http.StatusCreated {
			t.Errorf("status %d: %s", a.status, a.body)
		}
	})
}

// A copy of the service that was suspended for longer than its lock existed must not
// write between the messages of the next holder, and must not end the session, which
// then belongs to that holder.
func TestAnAnswerAfterTheLossOfTheLockIsNotStored(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		path := seededFile(t)
		slow, quick := openService(t, r.Addr(), path), openService(t, r.Addr(), path)
		talk := addSpeaker(t, slow.store.store, r.Prefix())
		slow.talk, quick.talk = talk, talk
		g, next := slow.assistant.hold(), quick.assistant.hold()
		late, prompt := make(chan answer), make(chan answer)
		go func() { late <- slow.say(t, "lenta") }()
		<-g.reached
		r.Client().Del(t.Context(), "lock:conversation:"+talk) // as when it expires and the holder has not noticed yet
		go func() { prompt <- quick.say(t, "rápida") }()
		<-next.reached
		close(g.open)
		if a := <-late; a.status != http.StatusServiceUnavailable {
			t.Errorf("status %d: %s", a.status, a.body)
		}
		if got := quick.state(t); got != "waiting_for_llm" {
			t.Errorf("while the next holder's assistant thinks the session is %s", got)
		}
		close(next.open)
		if a := <-prompt; a.status != http.StatusCreated {
			t.Errorf("status %d: %s", a.status, a.body)
		}
		list, err := slow.store.Conversations(t.Context(), r.Prefix())
		if err != nil || list[0].ID != talk || list[0].LastMessage != answerTo("rápida") {
			t.Errorf("the conversation is %+v, %v", list[0], err)
		}
	})
}

func TestATimeOutEndsTheWaitingStateAndALostLockDoesNot(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		s := newService(t, r.Addr(), r.Prefix())
		for _, c := range []struct {
			cause error
			want  string
		}{
			{context.DeadlineExceeded, "listening"},
			{lock.ErrLost, "waiting_for_llm"},
		} {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			g := s.assistant.hold()
			go func() {
				<-g.reached
				cancel(c.cause)
			}()
			if _, err := s.handle(ctx, s.talk, s.speaker, newMessage{"user", "Oi"}); !errors.Is(err, c.cause) {
				t.Errorf("the error is %v, want %v", err, c.cause)
			}
			if got := s.state(t); got != c.want {
				t.Errorf("after %v the session is %s, want %s", c.cause, got, c.want)
			}
		}
	})
}

func TestAWriteThatALostLockCutsOffIsNoInternalError(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		s := newService(t, r.Addr(), r.Prefix())
		s.db = losing{s.store, func() { r.Client().Del(t.Context(), "lock:conversation:"+s.talk) }}
		if a := s.say(t, "Oi"); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("status %d: %s", a.status, a.body)
		}
	})
}

// losing is a database that loses the lock while it writes.
type losing struct {
	*gatedStore
	lose func()
}

func (l losing) AddMessage(context.Context, Message, int64) (string, error) {
	l.lose()
	return "", context.Canceled
}

// Two copies of the service share Redis and the database. Only one of them at a time
// processes a conversation, so nothing is stored between a message and its answer.
func TestTwoCopiesNeverProcessAConversationAtOnce(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		path := seededFile(t)
		copies := []*service{openService(t, r.Addr(), path), openService(t, r.Addr(), path)}
		talk := addSpeaker(t, copies[0].store.store, r.Prefix())
		copies[0].talk, copies[1].talk = talk, talk
		const callers, each = 8, 10
		var mu sync.Mutex
		statuses := map[int]int{}
		var all sync.WaitGroup
		for i := range callers {
			s := copies[i%len(copies)]
			all.Go(func() {
				for range each {
					a := s.say(t, "Oi")
					mu.Lock()
					statuses[a.status]++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if statuses[http.StatusCreated] == 0 || statuses[http.StatusCreated]+statuses[http.StatusConflict] != callers*each {
			t.Errorf("statuses %v, want 201 and 409 only", statuses)
		}
		rows, err := copies[0].store.db.QueryContext(t.Context(),
			`SELECT role FROM messages WHERE conversation_id = ? AND text IN ('Oi', ?) ORDER BY rowid`, talk, answerTo("Oi"))
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		n := 0
		for ; rows.Next(); n++ {
			var role string
			if err := rows.Scan(&role); err != nil || role != []string{"user", "assistant"}[n%2] {
				t.Errorf("message %d is of %q, %v: two were processed at once", n, role, err)
			}
		}
		if err := rows.Err(); err != nil {
			t.Error(err)
		}
		if n != 2*statuses[http.StatusCreated] {
			t.Errorf("%d messages were stored for %d answers", n, statuses[http.StatusCreated])
		}
	})
}
