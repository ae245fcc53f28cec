// Package manager is the Conversation Manager. It lists the conversations of a speaker
// from an SQL database through a cache in Redis, and adds messages to them.
package manager

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/examples/internal/backend"
	"github.com/convkit/rediskit/examples/internal/conversation"
	"github.com/convkit/rediskit/examples/internal/updates"
	"github.com/convkit/rediskit/examples/internal/web"
	"github.com/convkit/rediskit/lock"
	"github.com/convkit/rediskit/metrics"
	"github.com/convkit/rediskit/session"
)

// listTTL bounds the age of a list whose invalidation has failed.
const listTTL = 5 * time.Minute

// listsConfig configures the cache of the speakers' lists.
var listsConfig = cache.Config{
	Key:         "conversations:*:list",
	TTL:         listTTL,
	NegativeTTL: 30 * time.Second,
	OnError:     backend.Log,
}

// A database is what the service needs of its store.
type database interface {
	Ping(context.Context) error
	Conversations(ctx context.Context, speakerID string) ([]Conversation, error)
	Speaker(ctx context.Context, conversationID string) (speakerID string, err error)
	AddMessage(ctx context.Context, m Message, fence int64) (speakerID string, err error)
	Close() error
}

// A Service answers HTTP requests from the cache and the database.
type Service struct {
	db        database
	assistant Assistant
	rdb       redis.UniversalClient
	lists     *cache.Cache[[]Conversation]
	locks     *lock.Locker
	sessions  *session.Store[conversation.Session]
	state     *session.Field[conversation.State, conversation.Session]
	updates   *updates.Publisher
	metrics   web.Route

	failedInvalidations atomic.Uint64
	hitReads, missReads latency
}

// Open returns the service with the database in the file at path, which it creates and
// fills if it does not exist. The caller closes rdb. The assistant waits for thinks
// before each answer.
func Open(ctx context.Context, path string, rdb redis.UniversalClient, thinks time.Duration) (*Service, error) {
	db, err := openStore(ctx, path)
	if err != nil {
		return nil, err
	}
	s, err := assemble(db, rdb, cannedAssistant{thinks}, listsConfig)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

func assemble(db database, rdb redis.UniversalClient, assistant Assistant, listsConfig cache.Config) (*Service, error) {
	s := &Service{db: db, rdb: rdb, assistant: assistant}
	var err error
	if s.lists, err = cache.New[[]Conversation](rdb, listsConfig); err != nil {
		return nil, err
	}
	if s.locks, err = lock.New(rdb, locksConfig); err != nil {
		return nil, err
	}
	if s.sessions, err = session.New[conversation.Session](rdb, sessionsConfig); err != nil {
		return nil, err
	}
	if s.state, err = session.FieldOf[conversation.State](s.sessions, "state"); err != nil {
		return nil, err
	}
	if s.updates, err = updates.NewPublisher(rdb); err != nil {
		return nil, err
	}
	s.metrics, err = web.Metrics(s.lists, s.locks, s.sessions, s.updates.Source(), metrics.Pool("main", rdb))
	return s, err
}

// Close closes the locker, the cache and the database. Call it after the HTTP server has
// shut down.
func (s *Service) Close() error {
	return errors.Join(s.locks.Close(), s.lists.Close(), s.db.Close())
}

// Handler returns the handler of the service's requests. All its answers but /metrics
// are JSON.
func (s *Service) Handler() http.Handler {
	return web.Routes(
		web.Route{Method: http.MethodGet, Path: "/speakers/{id}/conversations", Handle: s.list},
		web.Route{Method: http.MethodPost, Path: "/conversations/{id}/messages", Handle: s.addMessage},
		web.Route{Method: http.MethodGet, Path: "/conversations/{id}/session", Handle: s.session},
		web.Route{Method: http.MethodGet, Path: "/sessions", Handle: s.active},
		web.Route{Method: http.MethodGet, Path: "/stats", Handle: s.stats},
		web.Route{Method: http.MethodGet, Path: "/healthz", Handle: s.health},
		s.metrics,
	)
}

// Example returns a speaker of the seed and one of the speaker's conversations.
func (s *Service) Example(ctx context.Context) (speakerID, conversationID string, err error) {
	speakerID = "user_1"
	list, err := s.db.Conversations(ctx, speakerID)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("the database has no conversations of %s; remove its file to seed it again", speakerID)
	}
	if err != nil {
		return "", "", err
	}
	return speakerID, list[0].ID, nil
}

// Lists returns the counts of the cache of lists.
func (s *Service) Lists() cache.Stats { return s.lists.Stats() }

// list answers with the conversations of a speaker. The X-Cache header is "miss" if this
// request queried the database. It is "hit" if the answer came from Redis or from the
// query of another request.
func (s *Service) list(w http.ResponseWriter, r *http.Request) error {
	id, err := web.PathID(r, "id")
	if err != nil {
		return err
	}
	began := time.Now()
	var asked atomic.Bool // the loader may outlive this request
	list, err := s.lists.GetOrLoad(r.Context(), id, func(ctx context.Context, id string) ([]Conversation, error) {
		asked.Store(true)
		list, err := s.db.Conversations(ctx, id)
		if errors.Is(err, errNoSpeaker) {
			err = cache.ErrNotFound // which the cache remembers
		}
		return list, err
	})
	reads, how := &s.hitReads, "hit"
	if asked.Load() {
		reads, how = &s.missReads, "miss"
	}
	w.Header().Set("X-Cache", how)
	switch {
	case errors.Is(err, cache.ErrNotFound):
		return web.Refuse(http.StatusNotFound, "there is no such speaker")
	case err != nil:
		return fmt.Errorf("list conversations: %w", err)
	}
	reads.add(time.Since(began))
	return web.WriteJSON(w, http.StatusOK, list)
}
