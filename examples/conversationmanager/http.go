package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxIDBytes   = 128
	maxBodyBytes = 64 << 10
	maxTextRunes = 4000
)

// A handler answers a request, or returns why it did not.
type handler func(http.ResponseWriter, *http.Request) error

// A refusal is a request's own fault. Its text is for the client.
type refusal struct {
	status int
	text   string
}

func (e *refusal) Error() string { return e.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := h(w, r)
	var refused *refusal
	switch {
	case err == nil:
	case errors.As(err, &refused):
		_ = writeJSON(w, refused.status, problem{refused.text})
	case r.Context().Err() != nil: // nobody is left to answer
	default:
		slog.ErrorContext(r.Context(), "request failed", "route", r.Pattern, "err", err)
		_ = writeJSON(w, http.StatusInternalServerError, problem{"internal error"})
	}
}

// A problem is the body of every answer that is none.
type problem struct {
	Error string `json:"error"`
}

// writeJSON answers with v. It fails only before it has written: that a
// client has gone is no news to act on.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
	return nil
}

func unknownPath(http.ResponseWriter, *http.Request) error {
	return refuse(http.StatusNotFound, "there is no such path")
}

func otherMethod(allowed string) handler {
	if allowed == http.MethodGet {
		allowed = "GET, HEAD"
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Allow", allowed)
		return refuse(http.StatusMethodNotAllowed, "this path takes %s", allowed)
	}
}

// pathID returns the id in the path. It is any text of a sensible length: SQL
// takes it as an argument and the cache as an id, so there is nothing to
// escape.
func pathID(r *http.Request) (string, error) {
	id := r.PathValue("id")
	if len(id) > maxIDBytes || !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl) {
		return "", refuse(http.StatusBadRequest, "an id is at most %d bytes of text without control characters", maxIDBytes)
	}
	return id, nil
}

// A saying is the body of a request that adds a message.
type saying struct {
	Role string `json:"role"`
	Text string `json:"text"`
}

func readMessage(w http.ResponseWriter, r *http.Request) (saying, error) {
	var m saying
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return m, refuse(http.StatusUnsupportedMediaType, "send the message as application/json")
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil {
		return m, refuseBody(err)
	}
	if !utf8.Valid(text) { // the decoder would replace what is not
		return m, refuse(http.StatusBadRequest, "the body must be UTF-8")
	}
	body := json.NewDecoder(bytes.NewReader(text))
	body.DisallowUnknownFields()
	if err := body.Decode(&m); err != nil {
		return m, refuseBody(err)
	}
	if _, err := body.Token(); err != io.EOF {
		return m, refuse(http.StatusBadRequest, "the body must be one JSON object and nothing after it")
	}
	switch {
	case m.Role != "user" && m.Role != "assistant":
		return m, refuse(http.StatusBadRequest, `role must be "user" or "assistant"`)
	case strings.TrimSpace(m.Text) == "":
		return m, refuse(http.StatusBadRequest, "text must not be empty")
	case strings.ContainsRune(m.Text, 0):
		return m, refuse(http.StatusBadRequest, "text must not have a NUL character")
	case utf8.RuneCountInString(m.Text) > maxTextRunes:
		return m, refuse(http.StatusBadRequest, "text must have at most %d characters", maxTextRunes)
	}
	return m, nil
}

// refuseBody says what is wrong with a body that did not decode.
func refuseBody(err error) error {
	var tooLarge *http.MaxBytesError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &tooLarge):
		return refuse(http.StatusRequestEntityTooLarge, "the body must have at most %d bytes", tooLarge.Limit)
	case errors.As(err, &mismatch) && mismatch.Field != "":
		return refuse(http.StatusBadRequest, "%s must be a %v", mismatch.Field, mismatch.Type)
	case strings.HasPrefix(err.Error(), "json: unknown field "): // the only way to tell
		return refuse(http.StatusBadRequest, "the body has a field besides role and text")
	default:
		return refuse(http.StatusBadRequest, `the body must be JSON such as {"role": "user", "text": "Olá!"}`)
	}
}
