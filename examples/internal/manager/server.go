// Package manager is the Conversation Manager: it lists a speaker's
// conversations from an SQL database through a cache in Redis, and adds
// messages to them.
package manager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/examples/internal/backend"
	"github.com/convkit/rediskit/examples/internal/web"
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
	AddMessage(context.Context, Message) (speakerID string, err error)
	Close() error
}

// A Service answers HTTP requests from the cache and the database.
type Service struct {
	db    database
	rdb   redis.UniversalClient
	lists *cache.Cache[[]Conversation]

	failedInvalidations atomic.Uint64
}

// Open returns the service over the database in the file at path, which it
// seeds if it is new, and over rdb, which stays its owner's.
func Open(ctx context.Context, path string, rdb redis.UniversalClient) (*Service, error) {
	db, err := openStore(ctx, path)
	if err != nil {
		return nil, err
	}
	lists, err := cache.New[[]Conversation](rdb, listsConfig)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Service{db: db, rdb: rdb, lists: lists}, nil
}

// Close ends what the service began. Its requests must have ended.
func (s *Service) Close() error { return errors.Join(s.lists.Close(), s.db.Close()) }

// Handler answers the service's requests, in JSON throughout.
func (s *Service) Handler() http.Handler {
	return web.Routes(
		web.Route{Method: http.MethodGet, Path: "/speakers/{id}/conversations", Handle: s.list},
		web.Route{Method: http.MethodPost, Path: "/conversations/{id}/messages", Handle: s.addMessage},
		web.Route{Method: http.MethodGet, Path: "/stats", Handle: s.stats},
		web.Route{Method: http.MethodGet, Path: "/healthz", Handle: s.health},
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
	id, err := pathID(r)
	if err != nil {
		return err
	}
	var asked atomic.Bool // the loader may outlive this request
	list, err := s.lists.GetOrLoad(r.Context(), id, func(ctx context.Context, id string) ([]Conversation, error) {
		asked.Store(true)
		list, err := s.db.Conversations(ctx, id)
		if errors.Is(err, errNoSpeaker) {
			err = cache.ErrNotFound // to be remembered
		}
		return list, err
	})
	w.Header().Set("X-Cache", "hit")
	if asked.Load() {
		w.Header().Set("X-Cache", "miss")
	}
	switch {
	case errors.Is(err, cache.ErrNotFound):
		return web.Refuse(http.StatusNotFound, "there is no such speaker")
	case err != nil:
		return fmt.Errorf("list conversations: %w", err)
	}
	return web.WriteJSON(w, http.StatusOK, list)
}

// addMessage stores a message and makes the speaker's list be loaded anew.
func (s *Service) addMessage(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	said, err := readMessage(w, r)
	if err != nil {
		return err
	}
	m := Message{
		ID:             uuid.NewString(),
		ConversationID: id,
		Role:           said.Role,
		Text:           said.Text,
		CreatedAt:      Time{time.Now().Truncate(time.Millisecond)},
	}
	speakerID, err := s.db.AddMessage(r.Context(), m)
	if speakerID != "" { // the message was stored, or may have been
		s.invalidate(r.Context(), speakerID)
	}
	switch {
	case errors.Is(err, errNoConversation):
		return web.Refuse(http.StatusNotFound, "there is no such conversation")
	case err != nil:
		return fmt.Errorf("add a message: %w", err)
	}
	return web.WriteJSON(w, http.StatusCreated, m)
}

// invalidate deletes a list whose rows have changed: after the commit, so
// that no load can store the old rows again. The write is done whether or not
// this succeeds, so the client is not told of a failure; the log and /stats
// are, since the old list then lives for up to listTTL.
func (s *Service) invalidate(ctx context.Context, speakerID string) {
	if err := s.lists.Delete(ctx, speakerID); err != nil {
		s.failedInvalidations.Add(1)
		slog.ErrorContext(ctx, "a changed list stays in the cache until it expires", "for_up_to", listTTL, "err", err)
	}
}
