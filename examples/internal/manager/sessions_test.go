package manager

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/convkit/rediskit/examples/internal/conversation"
	"github.com/convkit/rediskit/examples/internal/updates"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestEventsArePublishedInTheirOrder(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		s := newService(t, r.Addr(), r.Prefix())
		received := r.Client().Subscribe(t.Context(), updates.Channel)
		defer received.Close()
		if _, err := received.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		said := strings.Repeat("ã", 500)
		s.say(t, said)
		var got []string
		for len(got) < 4 {
			m, err := received.ReceiveMessage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var e updates.Event
			if err := json.Unmarshal([]byte(m.Payload), &e); err != nil {
				t.Fatal(err)
			}
			if e.ConversationID != s.talk {
				continue // another test has published it
			}
			if e.Data.SpeakerID != s.speaker || e.Data.At == 0 || len([]rune(e.Data.Text)) > 161 {
				t.Errorf("%s has the data %+v", e.Event, e.Data)
			}
			got = append(got, strings.TrimSpace(e.Event+" "+string(e.Data.State)))
		}
		want := "[state_changed waiting_for_llm message_received message_answered state_changed answered]"
		if fmt.Sprint(got) != want {
			t.Errorf("published were %v, want %s", got, want)
		}
	})
}

func TestAMessageIsAnsweredWhenItsEventsCannotBePublished(t *testing.T) {
	t.Parallel()
	process := redistest.Start(t)
	if err := process.Client().Do(t.Context(), "ACL", "SETUSER", "default", "resetchannels", "&rediskit:*").Err(); err != nil {
		t.Fatal(err)
	}
	s := newService(t, process.Addr(), "user_0")
	if a := s.say(t, "Alguém aí?"); a.status != http.StatusCreated {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	if got := s.state(t); got != "answered" {
		t.Errorf("the session is %s", got)
	}
	if n := s.updates.Published(); n != 0 {
		t.Errorf("%d events were published, though none is allowed", n)
	}
}

func TestSessionsListsTheActiveSessions(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		s := newService(t, r.Addr(), r.Prefix())
		r.Client().Set(t.Context(), "session:"+r.Prefix(), "no session", 0)
		defer r.Client().Del(t.Context(), "session:"+r.Prefix())
		s.say(t, "Oi")
		var found int
		for _, one := range s.listSessions(t).Sessions {
			if one.ID == s.talk && one.SpeakerID == s.speaker && one.State == conversation.Answered {
				found++
			}
		}
		if found != 1 {
			t.Errorf("the session is there %d times", found)
		}
	})
}

func TestSessionsListsAtMostMaxSessions(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	s := newService(t, r.Addr(), r.Prefix())
	for _, n := range []int{maxSessions, maxSessions + 1} {
		for i := range n {
			err := s.sessions.Put(t.Context(), fmt.Sprint(i), conversation.Session{
				SpeakerID: s.speaker, StartedAt: firstDay, State: conversation.Speaking,
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.ongoing(t.Context()) // without the time-out of a request
		if err != nil || len(got.Sessions) != maxSessions || got.More != (n > maxSessions) {
			t.Errorf("of %d sessions %d are shown, more: %v, %v", n, len(got.Sessions), got.More, err)
		}
	}
}

func TestASpeakerCannotSendToTheConversationOfAnother(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	s := newService(t, r.Addr(), r.Prefix())
	for by, want := range map[string]int{s.speaker: http.StatusCreated, "user_2": http.StatusNotFound} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/conversations/"+s.talk+"/messages",
			strings.NewReader(`{"role": "user", "text": "Oi"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set(SpeakerHeader, by)
		res, err := s.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("by %s: status %d, want %d", by, res.StatusCode, want)
		}
	}
}

// listSessions returns the answer of /sessions.
func (s *service) listSessions(t *testing.T) (answer struct {
	Sessions []struct {
		ID        string             `json:"id"`
		SpeakerID string             `json:"speaker_id"`
		State     conversation.State `json:"state"`
	}
	More bool
},
) {
	t.Helper()
	a := s.get(t, "/sessions")
	if err := json.Unmarshal(a.body, &answer); err != nil || a.status != http.StatusOK {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	return answer
}
