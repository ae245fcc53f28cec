// Package web has the HTTP parts that the example services share: handlers that
// return errors, answers in JSON, and a server that shuts down in the right order.
package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
)

// A Handler answers a request, or returns an error and leaves the answer to
// ServeHTTP.
type Handler func(http.ResponseWriter, *http.Request) error

// A Refusal is an error whose text the client receives, with an HTTP status.
type Refusal struct {
	Status int
	Text   string
}

func (e *Refusal) Error() string { return e.Text }

// Refuse returns a Refusal with a formatted text.
func Refuse(status int, format string, args ...any) error {
	return &Refusal{status, fmt.Sprintf(format, args...)}
}

func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := h(w, r)
	var refused *Refusal
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
	case errors.As(err, &refused):
		_ = WriteJSON(w, refused.Status, problem{refused.Text})
	case errors.As(err, &tooLarge):
		_ = WriteJSON(w, http.StatusRequestEntityTooLarge, problem{fmt.Sprintf("the body must have at most %d bytes", tooLarge.Limit)})
	case r.Context().Err() != nil: // the client has gone
	default:
		slog.ErrorContext(r.Context(), "request failed", "route", r.Pattern, "err", err)
		_ = WriteJSON(w, http.StatusInternalServerError, problem{"internal error"})
	}
}

// A problem is the body of every error answer.
type problem struct {
	Error string `json:"error"`
}

// WriteJSON answers with v. It returns an error only if v cannot be encoded; it has
// then written nothing. That the client has gone is no error.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
	return nil
}

// MaxBodyBytes is the length of the longest body that a request may have.
const MaxBodyBytes = 64 << 10

// A Route is a path pattern of ServeMux, the one method that it accepts, and the
// handler of its requests.
type Route struct {
	Method, Path string
	Handle       Handler
}

// Routes returns a handler that serves routes. It limits the bodies of requests to
// MaxBodyBytes, and refuses other paths and methods in JSON.
func Routes(routes ...Route) http.Handler {
	mux := http.NewServeMux()
	for _, route := range routes {
		mux.Handle(route.Method+" "+route.Path, route.Handle)
		mux.Handle(route.Path, otherMethod(route.Method))
	}
	mux.Handle("/", Handler(unknownPath))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, clean := r.URL.EscapedPath(), path.Clean(r.URL.EscapedPath()); p != clean && p != clean+"/" {
			Handler(unknownPath).ServeHTTP(w, r) // ServeMux would redirect, in HTML
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, MaxBodyBytes)
		mux.ServeHTTP(w, r)
	})
}

func unknownPath(http.ResponseWriter, *http.Request) error {
	return Refuse(http.StatusNotFound, "there is no such path")
}

func otherMethod(allowed string) Handler {
	if allowed == http.MethodGet {
		allowed = "GET, HEAD"
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Allow", allowed)
		return Refuse(http.StatusMethodNotAllowed, "this path takes %s", allowed)
	}
}
