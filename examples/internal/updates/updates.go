// Package updates is what the services tell each other, and the Dashboard,
// about the conversations that are going on.
package updates

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/examples/internal/backend"
	"github.com/convkit/rediskit/examples/internal/conversation"
	"github.com/convkit/rediskit/metrics"
	"github.com/convkit/rediskit/pubsub"
)

// Channel is where services in any language publish and listen.
const Channel = "conversation:updates"

// What happens to a conversation.
const (
	MessageReceived = "message_received" // Data has Text
	StateChanged    = "state_changed"    // Data has State
	MessageAnswered = "message_answered" // Data has Text
	RequestDenied   = "request_denied"   // Data has RetryAfter
)

// An Event is something that happened to a conversation.
type Event struct {
	ConversationID string `json:"conversation_id"`
	Event          string `json:"event"`
	Data           Data   `json:"data"`
}

// Data is what a dashboard shows of an Event.
type Data struct {
	SpeakerID  string             `json:"speaker_id"`
	At         int64              `json:"at"` // Unix milliseconds, as of Date.now()
	State      conversation.State `json:"state,omitempty"`
	Text       string             `json:"text,omitempty"`           // clipped
	RetryAfter int64              `json:"retry_after_ms,omitempty"` // milliseconds
}

// maxText is how many characters of a text are published.
const maxText = 160

// A Publisher tells what happens.
type Publisher struct{ topic *pubsub.Topic[Event] }

// NewPublisher returns a Publisher over rdb.
func NewPublisher(rdb redis.UniversalClient) (*Publisher, error) {
	topic, err := pubsub.NewTopic[Event](rdb, Channel, pubsub.Config{OnError: backend.Log})
	return &Publisher{topic}, err
}

// Tell publishes an event that happens now. That nobody can be told is no
// reason to fail what happened, so a failure is only logged.
func (p *Publisher) Tell(ctx context.Context, event, conversation string, d Data) {
	d.At = time.Now().UnixMilli()
	d.Text = clip(d.Text)
	if _, err := p.topic.Publish(ctx, Event{conversation, event, d}); err != nil {
		slog.WarnContext(ctx, "an event was not published", "event", event, "err", err)
	}
}

// Source is what Prometheus is shown of the Publisher.
func (p *Publisher) Source() metrics.Source { return p.topic }

// Published is how many events Redis has taken.
func (p *Publisher) Published() uint64 { return p.topic.Stats().Published }

func clip(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	n := 0
	for i := range text {
		if n == maxText {
			return text[:i] + "…"
		}
		n++
	}
	return text
}
