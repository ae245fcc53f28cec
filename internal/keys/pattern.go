// Package keys says which keys an object of the library may use: those of the pattern
// that its caller configured, and their siblings in the same cluster slot. It also
// computes the slots.
package keys

import (
	"errors"
	"strings"
)

// Reserved begins every key that the library invents for itself.
const Reserved = "rediskit:"

// A Pattern is a key in which one '*' is the place of the caller's id.
// SCAN matches the same text, and tracking subscribes to it.
type Pattern struct {
	prefix, suffix string
}

// Parse reads a pattern such as "conversations:*:list". The error says what
// would be right, without the pattern's text.
func Parse(pattern string) (Pattern, error) {
	prefix, suffix, found := strings.Cut(pattern, "*")
	switch {
	case pattern == "":
		return Pattern{}, errors.New(`is empty; give a key pattern with one '*' for the id, such as "conversations:*:list"`)
	case !found:
		return Pattern{}, errors.New(`has no '*'; put one where the id belongs, such as "conversations:*:list"`)
	case strings.Contains(suffix, "*"):
		return Pattern{}, errors.New(`has more than one '*'; an id has exactly one place`)
	case prefix == "":
		return Pattern{}, errors.New(`begins with '*'; begin with fixed text, such as "session:*", so that no id can leave it`)
	case prefix[0] == '{':
		return Pattern{}, errors.New(`begins with '{'; begin with fixed text that is not a hash tag`)
	case strings.HasPrefix(prefix, Reserved) || strings.HasPrefix(Reserved, prefix):
		return Pattern{}, errors.New(`reaches into "rediskit:", which the library keeps for its own keys; choose another prefix`)
	}
	return Pattern{prefix, suffix}, nil
}

// Key returns the pattern with id in the place of '*'. The id may hold any bytes. The
// caller must refuse an empty id: all requests without an id would share one key.
func (p Pattern) Key(id string) string { return p.prefix + id + p.suffix }

// ID is the inverse of Key. It returns the id in a key of this pattern, or false.
func (p Pattern) ID(key string) (string, bool) {
	if len(key) <= len(p.prefix)+len(p.suffix) ||
		!strings.HasPrefix(key, p.prefix) || !strings.HasSuffix(key, p.suffix) {
		return "", false
	}
	return key[len(p.prefix) : len(key)-len(p.suffix)], true
}

// Prefix returns the fixed text before the id. It is never empty.
func (p Pattern) Prefix() string { return p.prefix }

// Glob returns a glob for SCAN MATCH that matches every key of the pattern. Characters
// that have a meaning in a glob are escaped.
func (p Pattern) Glob() string { return escape.Replace(p.prefix) + "*" + escape.Replace(p.suffix) }

var escape = strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `?`, `\?`, `*`, `\*`)
