package manager

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
)

func TestAListIsLoadedOnceAndThenHit(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		s := newService(t, r.Addr(), r.Prefix())
		first, second := s.conversations(t), s.conversations(t)
		if first.cache() != "miss" || second.cache() != "hit" {
			t.Errorf("X-Cache: %q, then %q; want a miss, then a hit", first.cache(), second.cache())
		}
		if !bytes.Equal(first.body, second.body) || len(first.list(t)) < 10 {
			t.Errorf("the hit differs from the miss:\n%s\n%s", first.body, second.body)
		}
		if n := s.store.count(); n != 1 {
			t.Errorf("%d queries, want 1", n)
		}
	})
}

var (
	isoTime = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
	uuidV4  = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
)

func TestRedisHoldsTheListAsOtherServicesReadIt(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		s := newService(t, r.Addr(), r.Prefix())
		answered := s.conversations(t)
		key := "conversations:" + s.speaker + ":list"
		stored, err := r.Client().Get(t.Context(), key).Bytes()
		if err != nil || !bytes.Equal(stored, answered.body) {
			t.Fatalf("the key holds %s, %v; the response was %s", stored, err, answered.body)
		}
		if ttl := r.Client().PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > 5*time.Minute {
			t.Errorf("the key's TTL is %v, want up to 5 minutes", ttl)
		}

		var rows []map[string]any
		if err := json.Unmarshal(stored, &rows); err != nil {
			t.Fatal(err)
		}
		fields := []string{"created_at", "id", "last_message", "message_count", "speaker_id", "title", "updated_at"}
		for _, row := range rows {
			var got []string
			for name := range row {
				got = append(got, name)
			}
			if slices.Sort(got); !slices.Equal(got, fields) {
				t.Fatalf("a row has the fields %v, want %v", got, fields)
			}
			if id := row["id"].(string); !uuidV4.MatchString(id) {
				t.Errorf("id %q is no UUID", id)
			}
			for _, name := range []string{"created_at", "updated_at"} {
				if at := row[name].(string); !isoTime.MatchString(at) {
					t.Errorf("%s %q is not what toISOString writes", name, at)
				}
			}
		}
	})
}

func TestASpeakerWithoutConversationsHasAnEmptyList(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		s := newService(t, r.Addr(), r.Prefix())
		if _, err := s.store.db.Exec(`INSERT INTO speakers VALUES (?, 'Ana')`, "new"+s.speaker); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"miss", "hit"} {
			a := s.get(t, "/speakers/new"+s.speaker+"/conversations")
			if string(a.body) != "[]" || a.cache() != want {
				t.Errorf("got %s, a %s; want [], a %s", a.body, a.cache(), want)
			}
		}
	})
}

func TestAMessageIsInTheNextList(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		s := newService(t, r.Addr(), r.Prefix())
		before := s.conversations(t).list(t)
		added := s.say(t, "E amanhã?")
		if added.status != http.StatusCreated {
			t.Fatalf("status %d: %s", added.status, added.body)
		}
		after := s.conversations(t)
		if after.cache() != "miss" {
			t.Errorf("the list after a message is a %s, want a miss", after.cache())
		}
		was, is := before[len(before)-1], after.list(t)[0]
		if is.ID != s.talk || is.LastMessage != answerTo("E amanhã?") || is.MessageCount != was.MessageCount+2 {
			t.Errorf("the first conversation is %+v, want %s with the message and its answer added to %+v", is, s.talk, was)
		}
	})
}

func TestASlowListDoesNotStoreRowsFromBeforeAMessage(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		s := newService(t, r.Addr(), r.Prefix())
		g := s.store.hold()
		slow := make(chan answer)
		go func() { slow <- s.conversations(t) }()
		<-g.reached // the query has read the rows from before the message
		s.say(t, "Mudei de ideia.")

		if got := s.conversations(t).list(t)[0].LastMessage; got != answerTo("Mudei de ideia.") {
			t.Errorf("while the slow list is loaded the last message is %q", got)
		}
		close(g.open)
		<-slow
		last := s.conversations(t)
		if got := last.list(t)[0].LastMessage; got != answerTo("Mudei de ideia.") || last.cache() != "hit" {
			t.Errorf("after the slow list the last message is %q, a %s", got, last.cache())
		}
	})
}

func TestAHundredRequestsForAColdSpeakerRunOneQuery(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		s := newService(t, r.Addr(), r.Prefix())
		g := s.store.hold()
		answers := make([]answer, 100)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i] = s.conversations(t) })
		}
		redistest.Eventually(t, func() bool { return s.lists.Stats().Misses == 100 }, "100 misses")
		close(g.open)
		all.Wait()

		if n := s.store.count(); n != 1 {
			t.Errorf("%d queries, want 1", n)
		}
		misses := 0
		for _, a := range answers {
			if a.cache() == "miss" {
				misses++
			}
			if a.status != http.StatusOK || !bytes.Equal(a.body, answers[0].body) {
				t.Errorf("status %d: %s", a.status, a.body)
			}
		}
		if misses != 1 {
			t.Errorf("%d of 100 answers are a miss, want the one that asked the database", misses)
		}
	})
}

func TestTheCacheRemembersAnUnknownSpeaker(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		s := newService(t, r.Addr(), r.Prefix())
		for _, want := range []string{"miss", "hit"} {
			a := s.get(t, "/speakers/nobody"+s.speaker+"/conversations")
			if a.status != http.StatusNotFound || a.cache() != want {
				t.Errorf("status %d, a %s; want 404, a %s", a.status, a.cache(), want)
			}
		}
	})
}

func TestListsComeFromTheDatabaseWhileRedisIsDown(t *testing.T) {
	t.Parallel()
	process := redistest.Start(t)
	s := newService(t, process.Addr(), "user_0")
	health := func() string {
		a := s.get(t, "/healthz")
		if a.status != http.StatusOK {
			t.Errorf("/healthz: status %d, though lists are answered: %s", a.status, a.body)
		}
		return string(a.body)
	}
	healthy := func() bool { return strings.Contains(health(), `"status":"ok"`) }
	s.conversations(t)
	redistest.Eventually(t, healthy, "all is well while Redis runs")

	process.Kill()
	for range 20 { // before the breaker opens, and after
		if a := s.conversations(t); a.status != http.StatusOK || a.cache() != "miss" || len(a.list(t)) < 10 {
			t.Fatalf("without Redis: status %d, a %s: %s", a.status, a.cache(), a.body)
		}
	}
	if h := health(); !strings.Contains(h, `"status":"degraded"`) || !strings.Contains(h, "check") {
		t.Errorf("/healthz without Redis: %s", h)
	}
	// Without a lock another copy may process the conversation, so nothing is stored.
	before := s.conversations(t).list(t)[0]
	if a := s.say(t, "Alguém aí?"); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("a message without Redis: status %d: %s", a.status, a.body)
	}
	if got := s.conversations(t).list(t)[0]; got != before {
		t.Errorf("without Redis %+v became %+v", before, got)
	}

	process.Restart()
	redistest.Eventually(t, healthy, "all is well again")
	redistest.Eventually(t, func() bool { return s.conversations(t).cache() == "hit" }, "hits again")
}

// The outcome of a commit is unknown when its connection breaks.
func TestAMessageThatMayHaveBeenStoredIsInvalidatedToo(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		s := newService(t, r.Addr(), r.Prefix())
		s.conversations(t)
		s.db = unsure{s.store}
		if a := s.say(t, "Talvez."); a.status != http.StatusInternalServerError {
			t.Errorf("status %d, want 500", a.status)
		}
		if got := s.conversations(t).list(t)[0].LastMessage; got != "Talvez." {
			t.Errorf("the last message is %q", got)
		}
	})
}

// unsure is a database whose commits succeed and report a failure.
type unsure struct{ *gatedStore }

func (u unsure) AddMessage(ctx context.Context, m Message, fence int64) (string, error) {
	speaker, _ := u.gatedStore.AddMessage(ctx, m, fence)
	return speaker, errors.New("the connection broke during the commit")
}

func TestAFailedInvalidationIsCounted(t *testing.T) {
	t.Parallel()
	process := redistest.Start(t)
	s := newService(t, process.Addr(), "user_0")
	g := s.assistant.hold()
	answered := make(chan answer)
	go func() { answered <- s.say(t, "Alguém aí?") }()
	<-g.reached
	process.Kill()
	close(g.open)
	if a := <-answered; a.status != http.StatusCreated { // the message was stored while the lock was still valid
		t.Errorf("status %d: %s", a.status, a.body)
	}
	if stats := string(s.get(t, "/stats").body); !strings.Contains(stats, `"failed_invalidations":1`) {
		t.Errorf("/stats does not show the failed invalidation: %s", stats)
	}
}

func TestMetricsShowWhatTheServiceDid(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	s := newService(t, r.Addr(), r.Prefix())
	for range 2 { // a miss, then a hit
		s.do(t, "GET", "/speakers/"+s.speaker+"/conversations", "", "")
	}
	if a := s.do(t, "POST", "/conversations/"+s.talk+"/messages", "application/json", `{"role": "user", "text": "Oi"}`); a.status != http.StatusCreated {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	page := string(s.do(t, "GET", "/metrics", "", "").body)
	for _, line := range []string{
		`rediskit_cache_requests_total{cache="conversations:*:list",result="hit"} 1`,
		`rediskit_cache_requests_total{cache="conversations:*:list",result="miss"} 1`,
		`rediskit_lock_acquired_total{locker="lock:conversation:*"} 1`,
		`rediskit_session_operations_total{operation="create",store="session:*"} 1`,
		`rediskit_pubsub_published_total{topic="conversation:updates"} 4`,
		`rediskit_pool_limit{lane="main",pool="main"} 12`,
		`go_goroutines `,
	} {
		if !strings.Contains(page, line) {
			t.Errorf("%s is missing in\n%s", line, page)
		}
	}
	if strings.Contains(page, s.speaker) || strings.Contains(page, s.talk) {
		t.Error("the metrics contain an id")
	}
}
