package bench

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/jsoncodec"
	"github.com/vmihailenco/msgpack/v5"
)

type Message struct {
	ID        string    `json:"id"`
	SpeakerID string    `json:"speaker_id"`
	Role      string    `json:"role"`
	Content   string    `json:"content"`
	CreatedAt time.Time `json:"created_at"`
}

type Conversation struct {
	ID          string    `json:"id"`
	SpeakerID   string    `json:"speaker_id"`
	Title       string    `json:"title"`
	State       string    `json:"state"`
	Messages    int       `json:"messages"`
	Unread      int       `json:"unread"`
	Pinned      bool      `json:"pinned"`
	Tags        []string  `json:"tags"`
	CreatedAt   time.Time `json:"created_at"`
	LastMessage *Message  `json:"last_message,omitempty"`
}

// conversations returns a list of n as a service caches it, about 19 KB of
// JSON for 50.
func conversations(n int, tags ...string) []Conversation {
	if tags == nil {
		tags = []string{} // [] in JSON, where nil is null
	}
	start := time.Date(2026, 3, 1, 12, 30, 15, 123456000, time.UTC)
	list := make([]Conversation, n)
	for i := range list {
		at := start.Add(time.Duration(i) * time.Minute)
		list[i] = Conversation{
			ID:        fmt.Sprintf("7f3c%04x-91d2-4b7e-a6c0-%012x", i, i*7919),
			SpeakerID: fmt.Sprintf("user_%d", i),
			Title:     fmt.Sprintf("Reunião de avaliação nº %d", i),
			State:     "waiting_for_llm",
			Messages:  3 * i,
			Unread:    i % 4,
			Pinned:    i%7 == 0,
			Tags:      tags,
			CreatedAt: at,
			LastMessage: &Message{
				ID:        fmt.Sprintf("msg_%06d", 37*i),
				SpeakerID: "assistant",
				Role:      "assistant",
				Content:   "Não há pendências.\nPosso ajudar?",
				CreatedAt: at.Add(time.Hour),
			},
		}
	}
	return list
}

// BenchmarkDecode decodes the same list of 50 conversations from what each
// codec encoded. A list with empty arrays costs rediskit a search for names
// that are repeated.
func BenchmarkDecode(b *testing.B) {
	for name, list := range map[string][]Conversation{
		"one":  conversations(50, "clima"),
		"none": conversations(50),
	} {
		b.Run("tags="+name, func(b *testing.B) { decode(b, list) })
	}
}

func decode(b *testing.B, list []Conversation) {
	asJSON, err := json.Marshal(list)
	if err != nil {
		b.Fatal(err)
	}
	asMsgpack, err := msgpack.Marshal(list)
	if err != nil {
		b.Fatal(err)
	}
	codec := jsoncodec.For[[]Conversation]()

	for _, bm := range []struct {
		codec  string
		data   []byte
		decode func([]byte) ([]Conversation, error)
	}{
		{"rediskit", asJSON, codec.Decode},
		{"json", asJSON, func(data []byte) (v []Conversation, err error) {
			err = json.Unmarshal(data, &v)
			return v, err
		}},
		{"msgpack", asMsgpack, func(data []byte) (v []Conversation, err error) {
			err = msgpack.Unmarshal(data, &v)
			return v, err
		}},
	} {
		b.Run("codec="+bm.codec, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(bm.data)))
			for b.Loop() {
				v, err := bm.decode(bm.data)
				if err != nil || len(v) != len(list) {
					b.Fatal(len(v), err)
				}
			}
		})
	}
}
