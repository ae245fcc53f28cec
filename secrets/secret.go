package secrets

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// A Secret is a text that does not print. fmt with any verb, slog, encoding/json and
// encoding.TextMarshaler all write [redacted], also for a Secret in a field of another
// value, exported or not. Only [Secret.Reveal] returns the text.
//
// The zero Secret is the empty text. Secrets cannot be compared with ==; compare the
// results of Reveal.
type Secret struct {
	// fmt prints unexported fields by reflection and calls no method for them. Of a
	// function it can print only an address.
	reveal func() string
}

// New returns a Secret that holds text unchanged. Nothing is trimmed.
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

// MarshalText implements [encoding.TextMarshaler] which encoding/json uses too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
