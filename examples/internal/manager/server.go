// Package manager is the Conversation Manager: it lists a speaker's
// conversations from an SQL database through a cache in Redis, and adds
// messages to them.
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

// listTTL bounds how old a list can be when its invalidation failed.
const listTTL = 5 * time.Minute

// listsConfig is that of the cache of each speaker's conversations.
var listsConfig = cache.Config{
	Key:         "conversations:*:list",
	TTL:         listTTL,
	NegativeTTL: 30 * time.Second,
	OnError:     backend.Log,
}

// A database is what the service asks of its store.
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

// Open returns the service over the database in the file at path, which it
// seeds if it is new, and over rdb, which stays its owner's. Its assistant
// thinks for as long as thinks before each answer.
func Open(ctx context.Context, path string, rdb redis.UniversalClient, thinks time.Duration) (*Service, error) {
	db, err := openStore(ctx, path)
	if err != nil {
		return nil, err
	}
	s, err := assemble(db, rdb, parrot{thinks}, listsConfig)
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

// Close ends what the service began. Its requests must have ended.
func (s *Service) Close() error {
	return errors.Join(s.locks.Close(), s.lists.Close(), s.db.Close())
}

// Handler answers the service's requests, in JSON throughout.
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

// Example returns a speaker of the seed and a conversation of theirs.
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

// Lists is what the cache of lists has counted.
func (s *Service) Lists() cache.Stats { return s.lists.Stats() }

// list answers with a speaker's conversations. Its X-Cache header is "miss"
// if this request asked the database, and "hit" if the answer came from Redis
// or from another request's query.
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
			err = cache.ErrNotFound // to be remembered
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
