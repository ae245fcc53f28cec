package manager

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/convkit/rediskit/examples/internal/web"
)

const maxTextRunes = 4000

// A newMessage is the body of a request that adds a message.
type newMessage struct {
	Role string `json:"role"`
	Text string `json:"text"`
}

func readMessage(r *http.Request) (newMessage, error) {
	var m newMessage
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return m, web.Refuse(http.StatusUnsupportedMediaType, "send the message as application/json")
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return m, err
	}
	if !utf8.Valid(text) { // the decoder would replace invalid bytes
		return m, web.Refuse(http.StatusBadRequest, "the body must be UTF-8")
	}
	body := json.NewDecoder(bytes.NewReader(text))
	body.DisallowUnknownFields()
	if err := body.Decode(&m); err != nil {
		return m, refuseBody(err)
	}
	if _, err := body.Token(); err != io.EOF {
		return m, web.Refuse(http.StatusBadRequest, "the body must be one JSON object and nothing after it")
	}
	switch {
	case m.Role != "user":
		return m, web.Refuse(http.StatusBadRequest, `role must be "user"; the assistant answers by itself`)
	case strings.TrimSpace(m.Text) == "":
		return m, web.Refuse(http.StatusBadRequest, "text must not be empty")
	case strings.ContainsRune(m.Text, 0):
		return m, web.Refuse(http.StatusBadRequest, "text must not have a NUL character")
	case utf8.RuneCountInString(m.Text) > maxTextRunes:
		return m, web.Refuse(http.StatusBadRequest, "text must have at most %d characters", maxTextRunes)
	}
	return m, nil
}

// refuseBody returns a Refusal that says why a body did not decode.
func refuseBody(err error) error {
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &mismatch) && mismatch.Field != "":
		return web.Refuse(http.StatusBadRequest, "%s must be a %v", mismatch.Field, mismatch.Type)
	case strings.HasPrefix(err.Error(), "json: unknown field "): // it has no type of its own
		return web.Refuse(http.StatusBadRequest, "the body has a field besides role and text")
	default:
		return web.Refuse(http.StatusBadRequest, `the body must be JSON such as {"role": "user", "text": "Olá!"}`)
	}
}
