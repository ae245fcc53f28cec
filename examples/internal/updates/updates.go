// Package updates has the events that the services publish about active conversations.
// Services and the Dashboard receive them.
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

// Channel is the channel on which services in all languages publish and listen.
const Channel = "conversation:updates"

// History is how much of what these services publish Redis keeps, so that a Dashboard that
// was cut off can read what it missed. An event has less than 1 KiB. Events of services in
// other languages, which only send PUBLISH, are not kept.
var History = pubsub.History{Messages: 1000, Age: 5 * time.Minute}

// The kinds of events, and the field of Data that each has besides SpeakerID and At.
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

// Data is what the Dashboard shows of an Event.
type Data struct {
	SpeakerID  string             `json:"speaker_id"`
	At         int64              `json:"at"` // Unix milliseconds, as Date.now() returns them
	State      conversation.State `json:"state,omitempty"`
	Text       string             `json:"text,omitempty"`           // cut to maxText characters
	RetryAfter int64              `json:"retry_after_ms,omitempty"` // milliseconds
}

// maxText is how many characters of a text are published at most.
const maxText = 160

// A Publisher publishes events.
type Publisher struct{ topic *pubsub.Topic[Event] }

// NewPublisher returns a Publisher over rdb.
func NewPublisher(rdb redis.UniversalClient) (*Publisher, error) {
	topic, err := pubsub.NewTopic[Event](rdb, Channel, pubsub.Config{History: History, OnError: backend.Log})
	return &Publisher{topic}, err
}

// Publish publishes an event with the current time. A failure is only logged: what the
// event is about has happened, and must not fail because of it.
func (p *Publisher) Publish(ctx context.Context, event, conversationID string, d Data) {
	d.At = time.Now().UnixMilli()
	d.Text = clip(d.Text)
	if _, err := p.topic.Publish(ctx, Event{conversationID, event, d}); err != nil {
		slog.WarnContext(ctx, "an event was not published", "event", event, "err", err)
	}
}

// Source returns the Publisher's counts for Prometheus.
func (p *Publisher) Source() metrics.Source { return p.topic }

// Published returns how many events Redis has accepted.
func (p *Publisher) Published() uint64 { return p.topic.Stats().Published }

// clip puts text on one line and cuts it to maxText characters.
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
