package manager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/convkit/rediskit/examples/internal/conversation"
	"github.com/convkit/rediskit/examples/internal/web"
	"github.com/convkit/rediskit/session"
)

// The bounds of a list of all sessions, for which Redis scans its whole keyspace.
const (
	maxSessions     = 200
	sessionsTimeout = 2 * time.Second
)

// A sessionView is a session as clients receive it.
type sessionView struct {
	ID           string             `json:"id,omitempty"`
	SpeakerID    string             `json:"speaker_id"`
	StartedAt    Time               `json:"started_at"`
	LastActivity Time               `json:"last_activity"`
	State        conversation.State `json:"state"`
}

func viewOf(id string, c conversation.Session) sessionView {
	return sessionView{id, c.SpeakerID, Time{c.StartedAt}, Time{c.LastActivity}, c.State}
}

// session answers with the session of an active conversation. It does not extend the
// session's TTL.
func (s *Service) session(w http.ResponseWriter, r *http.Request) error {
	id, err := web.PathID(r, "id")
	if err != nil {
		return err
	}
	c, err := s.sessions.Get(r.Context(), id)
	if errors.Is(err, session.ErrNotFound) {
		return web.Refuse(http.StatusNotFound, "this conversation is not going on")
	}
	if err != nil {
		return fmt.Errorf("read a session: %w", err)
	}
	return web.WriteJSON(w, http.StatusOK, viewOf("", c))
}

// active answers with the sessions that exist.
func (s *Service) active(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), sessionsTimeout)
	defer cancel()
	found, err := s.ongoing(ctx)
	if err != nil {
		return fmt.Errorf("list sessions: %w", err)
	}
	return web.WriteJSON(w, http.StatusOK, found)
}

// An ongoing is a list of at most maxSessions sessions, the latest activity first. If
// more exist, the choice is random.
type ongoing struct {
	Sessions []sessionView `json:"sessions"`
	More     bool          `json:"more"`
}

func (s *Service) ongoing(ctx context.Context) (ongoing, error) {
	found := ongoing{Sessions: []sessionView{}}
	for entry, err := range s.sessions.All(ctx) {
		switch {
		case err != nil && entry.ID == "":
			return found, err
		case err != nil: // this key holds no session
		case len(found.Sessions) == maxSessions:
			found.More = true
		default:
			found.Sessions = append(found.Sessions, viewOf(entry.ID, entry.Session))
		}
		if found.More {
			break
		}
	}
	slices.SortFunc(found.Sessions, func(a, b sessionView) int {
		return cmp.Or(b.LastActivity.Compare(a.LastActivity.Time), cmp.Compare(a.ID, b.ID))
	})
	return found, nil
}
