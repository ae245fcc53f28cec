package secrets

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// A Secret is a text that does not print: fmt with any verb, slog, encoding/json and
// encoding.TextMarshaler all yield [redacted], also for a Secret in a field of
// another value, exported or not. [Secret.Reveal] is the only way to the text.
//
// The zero Secret is the empty text. Two Secrets cannot be compared with ==; compare
// what they reveal.
type Secret struct {
	// fmt looks into unexported fields by reflection, where no method of ours is
	// asked; of a function it can only print an address.
	reveal func() string
}

// New returns a Secret that holds text as it is, untrimmed.
func New(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{reveal: func() string { return text }}
}

// Generate returns a new password of 64 hexadecimal characters, 256 random bits.
// Unlike base64 it needs no escaping in a URL, a shell or a configuration file.
func Generate() Secret {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return New(hex.EncodeToString(b[:]))
}

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsZero reports whether the text is empty.
func (s Secret) IsZero() bool { return s.reveal == nil }

// Format implements [fmt.Formatter] for every verb and flag.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String implements [fmt.Stringer].
func (s Secret) String() string { return redacted }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler] and thereby serves encoding/json.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
