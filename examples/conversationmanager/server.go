package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
)

// listTTL bounds how old a list can be when its invalidation failed.
const listTTL = 5 * time.Minute

// listsConfig is that of the cache of each speaker's conversations.
var listsConfig = cache.Config{
	Key:         "conversations:*:list",
	TTL:         listTTL,
	NegativeTTL: 30 * time.Second,
	OnError:     sparingly(logRedis),
}

// A database is what the server asks of its store.
type database interface {
	Ping(context.Context) error
	Conversations(ctx context.Context, speakerID string) ([]Conversation, error)
	AddMessage(context.Context, Message) (speakerID string, err error)
}

// A server answers HTTP requests from the cache and the database. It owns
// neither.
type server struct {
	db    database
	rdb   redis.UniversalClient
	lists *cache.Cache[[]Conversation]

	failedInvalidations atomic.Uint64
}

// routes returns the whole service. Every answer is JSON, refusals too.
func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, route := range []struct {
		method, path string
		handle       handler
	}{
		{http.MethodGet, "/speakers/{id}/conversations", s.list},
		{http.MethodPost, "/conversations/{id}/messages", s.addMessage},
		{http.MethodGet, "/stats", s.stats},
		{http.MethodGet, "/healthz", s.health},
	} {
		mux.Handle(route.method+" "+route.path, route.handle)
		mux.Handle(route.path, otherMethod(route.method))
	}
	mux.Handle("/", handler(unknownPath))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, clean := r.URL.EscapedPath(), path.Clean(r.URL.EscapedPath()); p != clean && p != clean+"/" {
			handler(unknownPath).ServeHTTP(w, r) // ServeMux would redirect, in HTML
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// list answers with a speaker's conversations. Its X-Cache header is "miss"
// if this request asked the database, and "hit" if the answer came from Redis
// or from another request's query.
func (s *server) list(w http.ResponseWriter, r *http.Request) error {
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
		return refuse(http.StatusNotFound, "there is no such speaker")
	case err != nil:
		return fmt.Errorf("list conversations: %w", err)
	}
	return writeJSON(w, http.StatusOK, list)
}

// addMessage stores a message and makes the speaker's list be loaded anew.
func (s *server) addMessage(w http.ResponseWriter, r *http.Request) error {
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
		return refuse(http.StatusNotFound, "there is no such conversation")
	case err != nil:
		return fmt.Errorf("add a message: %w", err)
	}
	return writeJSON(w, http.StatusCreated, m)
}

// invalidate deletes a list whose rows have changed: after the commit, so
// that no load can store the old rows again. The write is done whether or not
// this succeeds, so the client is not told of a failure; the log and /stats
// are, since the old list then lives for up to listTTL.
func (s *server) invalidate(ctx context.Context, speakerID string) {
	if err := s.lists.Delete(ctx, speakerID); err != nil {
		s.failedInvalidations.Add(1)
		slog.ErrorContext(ctx, "a changed list stays in the cache until it expires", "for_up_to", listTTL, "err", err)
	}
}
