package manager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/convkit/rediskit/examples/internal/backend"
	"github.com/convkit/rediskit/examples/internal/conversation"
	"github.com/convkit/rediskit/examples/internal/updates"
	"github.com/convkit/rediskit/examples/internal/web"
	"github.com/convkit/rediskit/lock"
	"github.com/convkit/rediskit/session"
)

// processTimeout bounds the handling of one message, from its lock to its answer. It
// counts whether or not the sender still waits. finishTimeout and the release of the
// lock come after it. All together take less time than the 10 s for which web.Serve
// waits.
const (
	processTimeout = 6 * time.Second
	finishTimeout  = 2 * time.Second
)

// locksConfig configures the locks on conversations. A service in another language that
// takes lock:conversation:<id> with SET NX excludes this service.
var locksConfig = lock.Config{Key: "lock:conversation:*", TTL: 10 * time.Second, OnError: backend.Log}

// sessionsConfig configures the sessions of active conversations.
var sessionsConfig = session.Config{Key: "session:*", TTL: 5 * time.Minute, OnError: backend.Log}

// SpeakerHeader is the header in which a gateway names the speaker of a message. The
// manager checks it, so that no message is counted against another speaker's limit.
const SpeakerHeader = "X-Speaker-Id"

// An Assistant answers what a speaker has said.
type Assistant interface {
	Answer(ctx context.Context, said string) (string, error)
}

// An exchange is a message of a speaker with its answer.
type exchange struct {
	Message
	Answer Message `json:"answer"`
}

// addMessage handles a message of a speaker: it stores the message, lets the assistant
// answer, and stores the answer. In the whole fleet one request at a time handles a
// conversation. Another request for it is refused and not queued, because its speaker
// does not know the answer that is still to come.
func (s *Service) addMessage(w http.ResponseWriter, r *http.Request) error {
	id, err := web.PathID(r, "id")
	if err != nil {
		return err
	}
	said, err := readMessage(r)
	if err != nil {
		return err
	}
	// Before the lock, so that ids that do not exist leave nothing in Redis.
	speaker, err := s.db.Speaker(r.Context(), id)
	if errors.Is(err, errNoConversation) {
		return web.Refuse(http.StatusNotFound, "there is no such conversation")
	}
	if err != nil {
		return fmt.Errorf("look for a conversation: %w", err)
	}
	if by := r.Header.Get(SpeakerHeader); by != "" && by != speaker {
		return web.Refuse(http.StatusNotFound, "this speaker has no such conversation")
	}
	// A message that was stored is answered, even if the client disconnects meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), processTimeout)
	defer cancel()
	done, err := s.handle(ctx, id, speaker, said)
	switch {
	case err == nil:
		return web.WriteJSON(w, http.StatusCreated, done)
	case errors.Is(err, lock.ErrHeld):
		w.Header().Set("Retry-After", "1")
		return web.Refuse(http.StatusConflict, "this conversation is already being processed; wait for its answer, then send the message again")
	case errors.Is(err, errUnanswered):
		slog.ErrorContext(ctx, "the assistant failed", "err", err)
		return web.Refuse(http.StatusBadGateway, "the message is stored, but the assistant has not answered it")
	case errors.Is(err, errStore) && !errors.Is(err, lock.ErrLost): // which cuts a write off
		return err
	default: // the lock was not taken, or was lost and another process may hold it
		slog.ErrorContext(ctx, "a message was not processed to its end", "err", err)
		w.Header().Set("Retry-After", "1")
		return web.Refuse(http.StatusServiceUnavailable, "the message could not be processed to its end; look at the conversation before you send it again")
	}
}

var (
	errUnanswered = errors.New("no answer")
	errStore      = errors.New("store a message")
)

// handle handles a message under the lock of its conversation, and sets the states of
// the conversation's session.
func (s *Service) handle(ctx context.Context, id, speaker string, said newMessage) (done exchange, err error) {
	err = s.locks.TryDo(ctx, id, func(ctx context.Context, held *lock.Lock) error {
		fence, err := held.Fence(ctx)
		if err != nil {
			return err
		}
		if err := s.begin(ctx, id, speaker); err != nil {
			return err
		}
		done, err = s.converse(ctx, fence, id, speaker, said)
		s.finish(ctx, id, speaker, err)
		return err
	})
	return done, err
}

// converse stores a message, lets the assistant answer it, and stores the answer. Each
// write to the database carries the fence of the lock. So a process that was suspended
// for longer than its lock existed cannot write between the messages of the next
// holder.
func (s *Service) converse(ctx context.Context, fence int64, id, speaker string, said newMessage) (exchange, error) {
	var done exchange
	var err error
	if done.Message, err = s.store(ctx, fence, id, "user", said.Text); err != nil {
		return done, err
	}
	s.updates.Publish(ctx, updates.MessageReceived, id, updates.Data{SpeakerID: speaker, Text: said.Text})
	text, err := s.assistant.Answer(ctx, said.Text)
	if err != nil {
		return done, fmt.Errorf("%w: %w", errUnanswered, err)
	}
	if done.Answer, err = s.store(ctx, fence, id, "assistant", text); err != nil {
		return done, err
	}
	s.updates.Publish(ctx, updates.MessageAnswered, id, updates.Data{SpeakerID: speaker, Text: text})
	return done, nil
}

// begin sets the state of the conversation's session to waiting_for_llm, whatever the
// state was: this process replaces one that crashed while it waited. It also replaces a
// hash that is no session, which a service leaves that writes one field after the
// session has expired.
func (s *Service) begin(ctx context.Context, id, speaker string) error {
	now := time.Now()
	fresh := conversation.Session{
		SpeakerID: speaker, StartedAt: now, LastActivity: now, State: conversation.WaitingForLLM,
	}
	err := s.sessions.Create(ctx, id, fresh)
	if errors.Is(err, session.ErrExists) {
		_, err = s.sessions.Update(ctx, id, func(c *conversation.Session) error {
			c.State = conversation.WaitingForLLM
			return nil
		})
	}
	switch {
	case errors.Is(err, session.ErrNotFound): // it has just expired
		return s.begin(ctx, id, speaker)
	case errors.Is(err, session.ErrCorrupt):
		err = s.sessions.Put(ctx, id, fresh)
	}
	if err == nil {
		s.updates.Publish(ctx, updates.StateChanged, id, updates.Data{SpeakerID: speaker, State: conversation.WaitingForLLM})
	}
	return err
}

// finish moves the session on from waiting_for_llm, also after processTimeout. It does
// nothing if the lock was lost, because the session then belongs to the next holder. A
// failure is only logged: the messages are stored whether or not finish succeeds, and
// the session expires by its TTL.
func (s *Service) finish(ctx context.Context, id, speaker string, failed error) {
	if errors.Is(context.Cause(ctx), lock.ErrLost) || errors.Is(failed, errFenced) {
		return
	}
	to := conversation.Answered
	if failed != nil {
		to = conversation.Listening // the speaker may try again
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	if _, err := s.state.Transition(ctx, id, conversation.WaitingForLLM, to); err != nil {
		slog.ErrorContext(ctx, "a session keeps its state until it expires", "state", conversation.WaitingForLLM, "err", err)
		return
	}
	s.updates.Publish(ctx, updates.StateChanged, id, updates.Data{SpeakerID: speaker, State: to})
}

// store stores a message and invalidates the cached list of its speaker.
func (s *Service) store(ctx context.Context, fence int64, id, role, text string) (Message, error) {
	m := Message{
		ID:             uuid.NewString(),
		ConversationID: id,
		Role:           role,
		Text:           text,
		CreatedAt:      Time{time.Now().Truncate(time.Millisecond)},
	}
	speakerID, err := s.db.AddMessage(ctx, m, fence)
	if speakerID != "" { // the message was stored, or may have been
		s.invalidate(ctx, speakerID)
	}
	if err != nil && !errors.Is(err, errFenced) {
		err = fmt.Errorf("%w: %w", errStore, err)
	}
	return m, err
}

// invalidate deletes a cached list whose rows have changed. It runs after the commit,
// so that no load can store the old rows again. The client gets no error from it,
// because its message is stored whether or not invalidate succeeds. The log and /stats
// show a failure, because the old list then stays for up to listTTL.
func (s *Service) invalidate(ctx context.Context, speakerID string) {
	if err := s.lists.Delete(ctx, speakerID); err != nil {
		s.failedInvalidations.Add(1)
		slog.ErrorContext(ctx, "a changed list stays in the cache until it expires", "for_up_to", listTTL, "err", err)
	}
}
