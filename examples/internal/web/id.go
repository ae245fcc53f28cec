package web

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxIDBytes = 128

// PathID returns the id that the path has under name. It is any text of a
// sensible length: SQL takes it as an argument and rediskit as an id, so there
// is nothing to escape.
func PathID(r *http.Request, name string) (string, error) {
	id := r.PathValue(name)
	if len(id) > maxIDBytes || !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl) {
		return "", Refuse(http.StatusBadRequest, "an id is at most %d bytes of text without control characters", maxIDBytes)
	}
	return id, nil
}
