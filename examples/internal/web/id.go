package web

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxIDBytes = 128

// PathID returns the value that the path has under name. It accepts any UTF-8 text of
// at most maxIDBytes bytes without control characters. Nothing has to be escaped: SQL
// takes an id as an argument, and rediskit as an id.
func PathID(r *http.Request, name string) (string, error) {
	id := r.PathValue(name)
	if len(id) > maxIDBytes || !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl) {
		return "", Refuse(http.StatusBadRequest, "an id is at most %d bytes of text without control characters", maxIDBytes)
	}
	return id, nil
}
