package conversation_test

import (
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/convkit/rediskit/examples/internal/conversation"
	"github.com/convkit/rediskit/examples/internal/exampletest"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/session"
)

func TestMain(m *testing.M) { redistest.Main(m) }

func TestRedisHoldsTheBytesThatOtherServicesReadAndWrite(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	store, err := session.New[conversation.Session](exampletest.Dial(t, r.Addr()), session.Config{Key: "session:*", TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for state, text := range map[conversation.State]string{
		conversation.Listening: "listening", conversation.Transcribing: "transcribing", conversation.WaitingForLLM: "waiting_for_llm",
		conversation.Speaking: "speaking", conversation.Answered: "answered",
	} {
		want := map[string]string{
			"speaker_id": "user_1", "started_at": "1700000000123", "last_activity": "1700000000456", "state": text,
		}
		s := conversation.Session{SpeakerID: "user_1", StartedAt: time.UnixMilli(1700000000123), State: state}
		before := time.Now().UnixMilli()
		if err := store.Put(t.Context(), "abc", s); err != nil {
			t.Fatal(err)
		}
		written := r.Client().HGetAll(t.Context(), "session:abc").Val()
		if at, err := strconv.ParseInt(written["last_activity"], 10, 64); err != nil || at < before || at > time.Now().UnixMilli() {
			t.Errorf("last_activity is %q; want the time of the write in Unix milliseconds", written["last_activity"])
		}
		written["last_activity"] = want["last_activity"] // each write sets it
		if !maps.Equal(written, want) {
			t.Errorf("written is %v; want %v", written, want)
		}
		r.Client().HSet(t.Context(), "session:def", want)
		r.Client().Expire(t.Context(), "session:def", time.Minute)
		got, err := store.Get(t.Context(), "def")
		if err != nil || got.SpeakerID != s.SpeakerID || !got.StartedAt.Equal(s.StartedAt) || got.LastActivity.UnixMilli() != 1700000000456 || got.State != s.State {
			t.Errorf("read is %+v, %v; want %v", got, err, want)
		}
	}
}
