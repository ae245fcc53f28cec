package pubsub

import (
	"errors"
	"fmt"
	"strings"

	"github.com/convkit/rediskit/internal/redact"
)

var (
	// ErrClosed is why a subscription ended: it, or its Hub, was closed or shut down.
	ErrClosed = errors.New("pubsub: closed")

	// ErrClientClosed is why a subscription ended whose Hub found that the client had
	// been closed before it. Listen returns it for a closed client.
	ErrClientClosed = errors.New("pubsub: the client was closed before the hub")

	// ErrEncode is returned by Publish and PublishAll for a value that has no JSON.
	// Nothing was sent.
	ErrEncode = errors.New("pubsub: value cannot be encoded")

	// ErrPosition is returned by Hub.SubscribeAfter for a text that is not the Position of a
	// message. Subscribe instead, and read the state from its source.
	ErrPosition = errors.New("pubsub: not the position of a message")

	// ErrNoHistory is returned by Hub.SubscribeAfter if the topic has no Config.History.
	ErrNoHistory = errors.New("pubsub: no history is kept; set Config.History")

	// ErrNotInHistory is the Cause of a GapError if the history does not have the message
	// any more behind which messages are wanted, or never had it.
	ErrNotInHistory = errors.New("pubsub: the history does not have the message at which to begin")
)

// errNotYet is the Cause of the gap with which the messages of an opened Hub begin.
var errNotYet = redact.New("the subscription has only now been confirmed")

// A GapError stands, among a subscription's messages, where some are missing. What was
// built from the messages so far must be read again from its source.
type GapError struct {
	// Missed is how many messages the Hub received but dropped, because the
	// subscription was more than Config.Buffer behind.
	Missed uint64

	// Cause is why the connection to Redis was lost or given up, or on a Cluster what has
	// changed among the primaries, or that a Hub of Topic.Open is subscribed only now; nil
	// for none of these. It is unknown how many messages were
	// published until the connection was restored, and whether the last ones from before
	// had arrived. With a History it may also be ErrNotInHistory, or why the history could
	// not be read.
	Cause error
}

func (e *GapError) Error() string {
	switch {
	case errors.Is(e.Cause, errNotYet):
		return "pubsub: messages may be missing: " + e.Cause.Error()
	case errors.Is(e.Cause, ErrNotInHistory):
		return "pubsub: messages may be missing: " + strings.TrimPrefix(e.Cause.Error(), "pubsub: ")
	case e.Cause == nil:
		return fmt.Sprintf("pubsub: %d messages were dropped: the subscription was too slow", e.Missed)
	case e.Missed == 0:
		return fmt.Sprintf("pubsub: messages may be missing: the connection was lost and is restored: %v", e.Cause)
	default:
		return fmt.Sprintf("pubsub: %d messages were dropped: the subscription was too slow; and more may be missing: the connection was lost and is restored: %v", e.Missed, e.Cause)
	}
}

// Unwrap returns Cause.
func (e *GapError) Unwrap() error { return e.Cause }

// A DecodeError stands, among a subscription's messages, in the place of one whose
// payload is not JSON of the topic's type. Its text holds nothing of the payload.
type DecodeError struct {
	// Channel is where the message was published.
	Channel string
	// Raw is the payload. All subscriptions share it: do not change it.
	Raw []byte
	// Position is that of the message, as Message.Position.
	Position string

	kind string
}

func (e *DecodeError) Error() string {
	return "pubsub: a message does not decode: " + e.kind
}
