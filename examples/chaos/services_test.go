package chaos

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the services' database

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/examples/internal/gateway"
	"github.com/convkit/rediskit/examples/internal/manager"
)

// Services sends requests of speakers to the example services. Each member runs both
// services.
type services struct {
	rd       *round
	path     string
	gateways map[*member]*httptest.Server
	ends     []func() error
	client   *http.Client

	mu   sync.Mutex
	said []exchange
}

// An exchange is a message and its answer, as a service has confirmed them.
type exchange struct {
	ID             string `json:"id"`
	ConversationID string `json:"conversation_id"`
	Answer         struct {
		ID string `json:"id"`
	} `json:"answer"`
}

const talkers = 40

func newServices() *services { return &services{} }

// seeded returns a new database of the services. It is made once.
var seeded = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "chaos")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "seed.db")
	unused := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer unused.Close()
	service, err := manager.Open(context.Background(), path, unused, 0)
	if err != nil {
		return nil, err
	}
	if err := service.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func (s *services) start(rd *round) {
	data, err := seeded()
	if err != nil {
		rd.t.Fatal(err)
	}
	s.rd, s.gateways, s.client = rd, map[*member]*httptest.Server{}, &http.Client{Transport: &http.Transport{}}
	s.path = filepath.Join(rd.t.TempDir(), "conversations.db")
	if err := os.WriteFile(s.path, data, 0o600); err != nil {
		rd.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(rd.t.Context(), 10*time.Second)
	defer cancel()
	for _, m := range rd.members {
		conversations, err := manager.Open(ctx, s.path, m.rdb, 3*time.Millisecond)
		if err != nil {
			rd.t.Fatal(err)
		}
		back := httptest.NewServer(conversations.Handler())
		core, err := gateway.Open(ctx, m.rdb, back.URL)
		if err != nil {
			rd.t.Fatal(err)
		}
		front := httptest.NewServer(core.Handler())
		s.gateways[m] = front
		s.ends = append(s.ends, func() error {
			err := core.CloseStreams()
			front.Close()
			err = errors.Join(err, core.Close())
			back.Close()
			return errors.Join(err, conversations.Close())
		})
	}
	rd.each(2, 20*time.Millisecond, func(rng *rand.Rand, m *member) {
		s.talk(m, fmt.Sprint("user_", 1+rng.IntN(talkers)))
	})
}

// talk reads the list of a speaker's conversations and sends a message to the latest.
func (s *services) talk(m *member, speaker string) {
	var list []struct {
		ID string `json:"id"`
	}
	status, err := s.do(m, http.MethodGet, "/speakers/"+speaker+"/conversations", nil, &list)
	if err != nil || status != http.StatusOK || len(list) == 0 {
		s.rd.violated(storedOnce, "a list was answered %d, %v, although the database works", status, err)
		return
	}
	var done exchange
	status, err = s.do(m, http.MethodPost, "/speakers/"+speaker+"/conversations/"+list[0].ID+"/messages",
		map[string]string{"role": "user", "text": "E amanhã?"}, &done)
	switch {
	case err == nil && status == http.StatusCreated:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.said = append(s.said, done)
	case err == nil && (status == http.StatusConflict || status == http.StatusTooManyRequests ||
		status == http.StatusBadGateway || status == http.StatusServiceUnavailable):
	default:
		s.rd.violated(storedOnce, "a message was answered %d, %v", status, err)
	}
}

// do makes a request. It has a long time-out, because the services bound their own work.
func (s *services) do(m *member, method, path string, in, out any) (status int, err error) {
	s.rd.within(method, 9*time.Second, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
		defer cancel()
		var body []byte
		if in != nil {
			if body, err = json.Marshal(in); err != nil {
				return
			}
		}
		var req *http.Request
		if req, err = http.NewRequestWithContext(ctx, method, s.gateways[m].URL+path, bytes.NewReader(body)); err != nil {
			return
		}
		req.Header.Set("Content-Type", "application/json")
		var res *http.Response
		if res, err = s.client.Do(req); err != nil {
			return
		}
		defer res.Body.Close()
		var answer []byte
		answer, err = io.ReadAll(res.Body)
		status = res.StatusCode
		if err == nil && status < 300 {
			err = json.Unmarshal(answer, out)
		}
	})
	return status, err
}

func (s *services) works(_ context.Context, m *member) error {
	var health struct {
		Status string `json:"status"`
	}
	status, err := s.do(m, http.MethodGet, "/healthz", nil, &health)
	if err != nil {
		return err
	}
	if status != http.StatusOK || health.Status != "ok" {
		return fmt.Errorf("/healthz answers %d, %q", status, health.Status)
	}
	return nil
}

// check looks for each confirmed message in the database, with its answer directly after
// it.
func (s *services) check(rd *round) {
	db, err := sql.Open("sqlite", s.path)
	if err != nil {
		rd.t.Error(err)
		return
	}
	defer db.Close()
	rows, err := db.QueryContext(context.Background(), `SELECT id, conversation_id FROM messages ORDER BY rowid`)
	if err != nil {
		rd.t.Error(err)
		return
	}
	defer rows.Close()
	before := map[string]string{} // the last message of each conversation
	follows := map[string]string{}
	for rows.Next() {
		var id, conversation string
		if err := rows.Scan(&id, &conversation); err != nil {
			rd.t.Error(err)
			return
		}
		follows[before[conversation]], before[conversation] = id, id
	}
	if err := rows.Err(); err != nil {
		rd.t.Error(err)
	}
	for _, said := range s.said {
		rd.checked(storedOnce, 1)
		if follows[said.ID] != said.Answer.ID {
			rd.violated(storedOnce, "a message is not followed by its answer")
		}
	}
}

func (s *services) close() error {
	s.client.CloseIdleConnections()
	var errs []error
	for _, end := range s.ends {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}
