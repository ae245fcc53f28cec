// Package keys says which keys an object of the library may touch: the
// pattern that its caller configured, the siblings that live beside a key in
// the same cluster slot, and the slots themselves.
package keys

import (
	"errors"
	"strings"
)

// Reserved begins every key that the library invents for itself.
const Reserved = "rediskit:"

// A Pattern is a key with one hole for the caller's id, written as one '*'.
// The same text is what SCAN matches and what tracking subscribes to.
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

// Key is the pattern with id in the place of '*'. The id may hold any bytes,
// but an empty one is the callers' to refuse: it would make one key that all
// who lack an id share.
func (p Pattern) Key(id string) string { return p.prefix + id + p.suffix }

// ID is the inverse of Key: the id in a key of this pattern, or false.
func (p Pattern) ID(key string) (string, bool) {
	if len(key) <= len(p.prefix)+len(p.suffix) ||
		!strings.HasPrefix(key, p.prefix) || !strings.HasSuffix(key, p.suffix) {
		return "", false
	}
	return key[len(p.prefix) : len(key)-len(p.suffix)], true
}

// Prefix is the fixed text before the id, never empty.
func (p Pattern) Prefix() string { return p.prefix }

// Glob matches every key of the pattern in SCAN MATCH. Characters that a
// glob would read specially are escaped.
func (p Pattern) Glob() string { return escape.Replace(p.prefix) + "*" + escape.Replace(p.suffix) }

var escape = strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `?`, `\?`, `*`, `\*`)
