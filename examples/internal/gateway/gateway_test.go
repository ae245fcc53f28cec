package gateway

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/convkit/rediskit/examples/internal/updates"
	"github.com/convkit/rediskit/examples/internal/web"
	"github.com/convkit/rediskit/internal/redistest"
)

const message = `{"role": "user", "text": "Oi"}`

func TestAMessageReachesTheManagerUnderItsPath(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		s := newService(t, r.Addr(), patient, echo)
		for path, want := range map[string]string{
			"/speakers/" + r.Prefix() + "/conversations/abc/messages":       "/conversations/abc/messages",
			"/speakers/" + r.Prefix() + "/conversations/a%2Fb%20c/messages": "/conversations/a%2Fb%20c/messages",
		} {
			a := s.do(t, "POST", path, message, "X-Speaker-Id", "somebody else")
			if a.status != http.StatusOK || a.body != message {
				t.Errorf("status %d: %s", a.status, a.body)
			}
			if asked := a.header.Get("X-Asked"); asked != "POST "+want {
				t.Errorf("the manager was asked for %s, want %s", asked, want)
			}
			if by := a.header.Get("X-By"); by != r.Prefix() {
				t.Errorf("the manager got the speaker %q, want %q", by, r.Prefix())
			}
			if a.header.Get("RateLimit") == "" || a.header.Get("RateLimit-Policy") == "" {
				t.Errorf("the answer has no limits: %v", a.header)
			}
		}
		for _, path := range []string{"/speakers/user_1/conversations", "/conversations/abc/session", "/stats"} {
			if a := s.do(t, "GET", path, ""); a.header.Get("X-Asked") != "GET "+path {
				t.Errorf("%s: status %d, the manager was asked for %q", path, a.status, a.header.Get("X-Asked"))
			}
		}
		// No path leads past the limits.
		if a := s.do(t, "POST", "/conversations/abc/messages", message); a.status != http.StatusNotFound {
			t.Errorf("a message without its speaker: status %d", a.status)
		}
	})
}

func TestMessagesAreCountedTogetherWithOtherServices(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		s := newService(t, r.Addr(), patient, echo)
		talk := "/speakers/" + r.Prefix() + "/conversations/abc/messages"
		s.do(t, "POST", talk, message)
		s.do(t, "POST", talk, message)
		rdb, key := r.Client(), "rate_limit:"+r.Prefix()
		if n, err := rdb.Get(t.Context(), key).Int(); err != nil || n != 2 {
			t.Errorf("%d are counted, %v; want 2", n, err)
		}
		rdb.IncrBy(t.Context(), key, 98) // by other services
		a := s.do(t, "POST", talk, message)
		if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "100 per 1m") {
			t.Errorf("the 101st: status %d, %v: %s", a.status, a.header, a.body)
		}
	})
}

func TestEveryDashboardShowsDenialsButNotAFloodOfThem(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		one, other := newService(t, r.Addr(), patient, echo), newService(t, r.Addr(), patient, echo)
		browsers := []*browser{one.browse(t), other.browse(t)}
		denied := 0
		for range 60 {
			if a := one.do(t, "POST", "/speakers/"+r.Prefix()+"/conversations/abc/messages", message); a.status == http.StatusTooManyRequests {
				denied++
			}
		}
		if denied != 40 {
			t.Errorf("%d of 60 were denied, want those after the first 20", denied)
		}
		for _, b := range browsers {
			var e updates.Event
			if err := json.Unmarshal(b.next(r.Prefix()), &e); err != nil {
				t.Fatal(err)
			}
			if e.Event != updates.RequestDenied || e.ConversationID != "abc" || e.Data.RetryAfter <= 0 || e.Data.At == 0 {
				t.Errorf("shown was %+v", e)
			}
		}
		if n := one.publisher.Published(); n == 0 || n > 40/2 {
			t.Errorf("%d of 40 denials were published", n)
		}
		got := one.snapshot(t)
		if len(got.Speakers) != 1 || got.Speakers[0].Allowed != 20 || got.Speakers[0].Denied != 40 {
			t.Errorf("counted were %+v", got.Speakers)
		}
	})
}

func TestInvalidRequestsAreRefusedInJSON(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	s := newService(t, r.Addr(), patient, echo)
	for name, c := range map[string]struct {
		method, path string
		status       int
	}{
		"unknown path":  {"GET", "/none", 404},
		"wrong method":  {"DELETE", "/api/snapshot", 405},
		"GET a message": {"GET", "/speakers/a/conversations/b/messages", 405},
		"long speaker":  {"POST", "/speakers/" + strings.Repeat("x", 129) + "/conversations/b/messages", 400},
		"control":       {"POST", "/speakers/a/conversations/%00/messages", 400},
		"no WebSocket":  {"GET", "/ws", 426},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.do(t, c.method, c.path, "")
			if a.status != c.status {
				t.Errorf("status %d, want %d: %s", a.status, c.status, a.body)
			}
			if c.path != "/ws" && !json.Valid([]byte(a.body)) {
				t.Errorf("the answer is no JSON: %s", a.body)
			}
		})
	}
	if keys := r.Mini().Keys(); len(keys) != 0 {
		t.Errorf("refused requests left %q", keys)
	}
}

func TestARequestOfAnotherOriginIsNotCounted(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	s := newService(t, r.Addr(), patient, echo)
	const talk = "/speakers/a/conversations/b/messages"
	for _, fields := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://elsewhere.example"}, {"Origin", "null"},
	} {
		if a := s.do(t, "POST", talk, message, fields...); a.status != http.StatusForbidden || !json.Valid([]byte(a.body)) {
			t.Errorf("%s: status %d: %s", fields, a.status, a.body)
		}
	}
	if keys := r.Mini().Keys(); len(keys) != 0 {
		t.Errorf("refused requests left %q", keys)
	}
	for _, fields := range [][]string{{"Sec-Fetch-Site", "same-origin"}, {"Origin", s.url}} {
		if a := s.do(t, "POST", talk, message, fields...); a.status != http.StatusOK {
			t.Errorf("%s: status %d: %s", fields, a.status, a.body)
		}
	}
}

func TestABodyThatIsTooLongIsRefused(t *testing.T) {
	t.Parallel()
	s := newService(t, redistest.Mini(t).Addr(), patient, echo)
	long := strings.Repeat("x", web.MaxBodyBytes+1)
	a := s.do(t, "POST", "/speakers/a/conversations/b/messages", long)
	if a.status != http.StatusRequestEntityTooLarge || !json.Valid([]byte(a.body)) {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

func TestEveryAnswerHasTheHeadersAgainstOtherPages(t *testing.T) {
	t.Parallel()
	s := newService(t, redistest.Mini(t).Addr(), patient, echo)
	for _, path := range []string{"/", "/page.js", "/api/snapshot", "/stats", "/none", "/ws"} {
		a := s.do(t, "GET", path, "")
		for name, want := range headers {
			if got := a.header.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
	}
}

func TestAMissingManagerIsReported(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	s := newService(t, r.Addr(), patient, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if a := s.do(t, "POST", "/speakers/a/conversations/b/messages", message); a.status != http.StatusBadGateway || !json.Valid([]byte(a.body)) {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	if a := s.do(t, "GET", "/healthz", ""); a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, `"redis":"ok"`) {
		t.Errorf("/healthz: status %d: %s", a.status, a.body)
	}
	if got := s.snapshot(t); string(got.Sessions) != "null" || string(got.Stats) != "null" || !got.Redis {
		t.Errorf("the snapshot is %+v", got)
	}
}

func TestAMissingRedisIsReported(t *testing.T) {
	t.Parallel()
	process := redistest.Start(t)
	s := newService(t, process.Addr(), patient, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	health := func() string {
		a := s.do(t, "GET", "/healthz", "")
		if a.status != http.StatusOK {
			t.Errorf("/healthz: status %d, though the manager answers: %s", a.status, a.body)
		}
		return a.body
	}
	healthy := func() bool { return strings.Contains(health(), `"status":"ok","redis":"ok"`) }
	redistest.Eventually(t, healthy, "all is well while Redis runs")

	process.Kill()
	redistest.Eventually(t, func() bool { return !s.snapshot(t).Redis }, "a snapshot that shows it")
	if h := health(); !strings.Contains(h, `"status":"degraded","redis":"rediskit: check`) {
		t.Errorf("/healthz without Redis: %s", h)
	}
	// The gateway then enforces the limits by itself.
	denied := 0
	for range 30 {
		if a := s.do(t, "POST", "/speakers/a/conversations/b/messages", message); a.status == http.StatusTooManyRequests {
			denied++
		}
	}
	if denied != 10 {
		t.Errorf("%d of 30 were denied, want those after the first 20", denied)
	}
	process.Restart()
	redistest.Eventually(t, func() bool { return s.snapshot(t).Redis }, "a snapshot that shows Redis again")
	redistest.Eventually(t, healthy, "all is well again")
}

func TestASnapshotIsNeverOlderThanItsRequestAndIsShared(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	var mu sync.Mutex
	asked := 0
	s := newService(t, r.Addr(), patient, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/sessions" {
			mu.Lock()
			asked++
			mu.Unlock()
		}
		echo(w, r)
		_, _ = w.Write([]byte(`{}`))
	})
	for range 3 {
		s.snapshot(t)
	}
	if asked != 3 {
		t.Errorf("three snapshots, one after the other, asked %d times", asked)
	}
	// Requests at the same time share one.
	var all sync.WaitGroup
	s.snapshots.making <- struct{}{} // as if one were being made
	for range 20 {
		all.Go(func() { s.snapshot(t) })
	}
	redistest.Eventually(t, func() bool { return s.snapshots.waiting.Load() == 20 }, "20 requests wait")
	<-s.snapshots.making
	all.Wait()
	if asked != 4 {
		t.Errorf("20 snapshots at once asked %d times, want once", asked-3)
	}
}

// snapshot returns the answer of /api/snapshot.
func (s *service) snapshot(t *testing.T) (got struct {
	Sessions, Stats json.RawMessage
	Speakers        []speaker
	Redis           bool
},
) {
	t.Helper()
	a := s.do(t, "GET", "/api/snapshot", "")
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != http.StatusOK {
		t.Errorf("status %d, %v: %s", a.status, err, a.body)
	}
	return got
}

func TestMetricsShowWhatTheServiceDid(t *testing.T) {
	t.Parallel()
	s := newService(t, redistest.Mini(t).Addr(), patient, echo)
	s.do(t, "POST", "/speakers/user_1/conversations/c1/messages", "{}")
	page := s.do(t, "GET", "/metrics", "").body
	for _, line := range []string{
		`rediskit_ratelimit_requests_total{by="redis",limiter="rate_limit:*",result="allowed"} 1`,
		`rediskit_pubsub_subscribers{topic="conversation:updates"} 0`,
		`rediskit_pubsub_published_total{topic="conversation:updates"} 0`,
		`rediskit_redis_errors_total{name="rate_limit:*",package="ratelimit"} 0`,
		`go_goroutines `,
	} {
		if !strings.Contains(page, line) {
			t.Errorf("%s is missing in\n%s", line, page)
		}
	}
	if strings.Contains(page, "user_1") {
		t.Error("the metrics contain an id")
	}
}
