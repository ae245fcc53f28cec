package manager

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/convkit/rediskit/examples/internal/exampletest"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// A service is a service under test, over HTTP, with a speaker of its own. The service
// has fixed keys and tests share a redis-server, so each test uses its own speaker.
type service struct {
	*Service
	url       string
	http      *http.Client
	store     *gatedStore
	assistant *gatedAssistant
	speaker   string
	talk      string // a conversation of speaker
}

func newService(t *testing.T, redisAddr, speaker string) *service {
	t.Helper()
	path := seededFile(t)
	s := openService(t, redisAddr, path)
	s.speaker, s.talk = speaker, addSpeaker(t, s.store.store, speaker)
	return s
}

// openService opens a copy of the service with the database in the file at path.
func openService(t *testing.T, redisAddr, path string) *service {
	t.Helper()
	db, err := openStore(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{store: &gatedStore{store: db}, assistant: &gatedAssistant{}}
	cfg := listsConfig
	cfg.LoadTimeout = time.Minute // a gate may hold a load back for longer than the default
	s.Service, err = assemble(s.store, exampletest.Dial(t, redisAddr), s.assistant, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	ts := httptest.NewServer(s.Handler())
	t.Cleanup(ts.Close)
	s.url, s.http = ts.URL, ts.Client()
	return s
}

// A gatedAssistant answers at once, unless a test holds an answer back or makes it
// fail.
type gatedAssistant struct {
	mu   sync.Mutex
	gate *gate
	err  error
}

// hold makes the next answer wait until the gate opens.
func (a *gatedAssistant) hold() *gate {
	g := &gate{make(chan struct{}), make(chan struct{})}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gate = g
	return g
}

func (a *gatedAssistant) Answer(ctx context.Context, said string) (string, error) {
	a.mu.Lock()
	g, err := a.gate, a.err
	a.gate = nil
	a.mu.Unlock()
	if g != nil {
		close(g.reached)
		select {
		case <-g.open:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
	return answerTo(said), err
}

func answerTo(said string) string { return "Ouvi: " + said }

// seedBytes returns the file of a new database. It makes the file once, because that
// takes longer than most tests.
var seedBytes = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "conversationmanager")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "seed.db")
	s, err := openStore(context.Background(), path)
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil { // Close moves the WAL into the file
		return nil, err
	}
	return os.ReadFile(path)
})

func seededFile(t *testing.T) string {
	t.Helper()
	data, err := seedBytes()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "conversations.db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// addSpeaker adds a speaker with conversations and returns the id of one.
func addSpeaker(t *testing.T, s *store, speaker string) (conversationID string) {
	t.Helper()
	tx, err := s.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	seeder := newSeeder(t.Context(), tx)
	seeder.entropy.Seed([32]byte([]byte(fmt.Sprintf("%32.32s", speaker)))) // for ids that the database does not have yet
	seeder.speaker(speaker)
	if seeder.err != nil {
		t.Fatal(seeder.err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	list, err := s.Conversations(t.Context(), speaker)
	if err != nil {
		t.Fatal(err)
	}
	return list[len(list)-1].ID
}

// A gatedStore is a store that counts its list queries and can hold their results
// back.
type gatedStore struct {
	*store
	mu      sync.Mutex
	queries int
	gate    *gate
}

// A gate holds back one query, after the query has read its rows, or one answer. reached
// is closed when the query or answer waits; the test closes open to let it go on.
type gate struct{ reached, open chan struct{} }

// hold makes the next list query wait, after it has read its rows, until the gate opens.
func (s *gatedStore) hold() *gate {
	g := &gate{make(chan struct{}), make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = g
	return g
}

func (s *gatedStore) Conversations(ctx context.Context, speakerID string) ([]Conversation, error) {
	s.mu.Lock()
	s.queries++
	g := s.gate
	s.gate = nil
	s.mu.Unlock()
	list, err := s.store.Conversations(ctx, speakerID)
	if g != nil {
		close(g.reached)
		<-g.open
	}
	return list, err
}

func (s *gatedStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queries
}

// An answer is an HTTP response of the service.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// cache returns the X-Cache header.
func (a answer) cache() string { return a.header.Get("X-Cache") }

// list decodes the conversations of an answer.
func (a answer) list(t *testing.T) []Conversation {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	var list []Conversation
	if err := json.Unmarshal(a.body, &list); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return list
}

func (s *service) get(t *testing.T, path string) answer {
	t.Helper()
	return s.do(t, http.MethodGet, path, "", "")
}

func (s *service) conversations(t *testing.T) answer {
	t.Helper()
	return s.get(t, "/speakers/"+s.speaker+"/conversations")
}

// say sends a message of the service's speaker.
func (s *service) say(t *testing.T, text string) answer {
	t.Helper()
	body, err := json.Marshal(newMessage{"user", text})
	if err != nil {
		t.Fatal(err)
	}
	return s.do(t, http.MethodPost, "/conversations/"+s.talk+"/messages", "application/json", string(body))
}

// state returns the session state of the service's conversation, or "none".
func (s *service) state(t *testing.T) string {
	t.Helper()
	a := s.get(t, "/conversations/"+s.talk+"/session")
	if a.status == http.StatusNotFound {
		return "none"
	}
	var got struct{ State string }
	if err := json.Unmarshal(a.body, &got); err != nil || a.status != http.StatusOK {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	return got.State
}

func (s *service) do(t *testing.T, method, path, contentType, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Error(err) // not Fatal, because tests call this from other goroutines
		return answer{}
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := s.http.Do(req)
	if err != nil {
		t.Error(err)
		return answer{}
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return answer{res.StatusCode, res.Header, bytes.TrimSuffix(got, []byte("\n"))}
}
