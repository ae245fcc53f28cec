package pubsub

import (
	"errors"
	"fmt"
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
)

// A GapError stands, among a subscription's messages, where some are missing. What was
// built from the messages so far must be read again from its source.
type GapError struct {
	// Missed is how many messages the Hub received but dropped, because the
	// subscription was more than Config.Buffer behind.
	Missed uint64

	// Cause is why the connection to Redis was lost or given up, or on a Cluster what has
	// changed among the primaries; nil for neither. It is unknown how many messages were
	// published until the connection was restored, and whether the last ones from before
	// had arrived.
	Cause error
}

func (e *GapError) Error() string {
	switch {
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

	kind string
}

func (e *DecodeError) Error() string {
	return "pubsub: a message does not decode: " + e.kind
}
