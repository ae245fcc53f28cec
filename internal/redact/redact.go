// Package redact removes data from errors.
//
// An error that leaves this library must not carry a key, an id, a value, the name
// of a user or a password. Most errors of go-redis and of the network carry none of
// them. But some replies of Redis quote arguments of a command, and every parser
// quotes its input.
//
// The package imports no other package of this module, so that every one may use it.
package redact

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/redis/go-redis/v9"
)

// New returns an error that Clean returns unchanged. Its text must be fixed and hold
// no data. Like those of errors.New, each error equals only itself.
func New(text string) error { return &fixed{text} }

type fixed struct{ text string }

func (e *fixed) Error() string { return e.text }
func (*fixed) SafeText()       {}

// Clean returns err, or the part of it that holds no data.
//
// These errors are returned unchanged, for errors.Is and errors.As:
//
//   - the ends of contexts, io.EOF, errors of the network and of TLS;
//   - the errors of go-redis's pool;
//   - errors that have a method SafeText(), among them those of New;
//   - replies of Redis that quote nothing, redis.Nil among them.
//
// A reply that quotes something is replaced by the same reply without the quoted
// text. It is still a redis.Error. A wrapper is dropped: the result is the first such
// error inside it. Of any other error, only the type remains.
func Clean(err error) error {
	if err == nil {
		return nil
	}
	if safe := find(err); safe != nil {
		return safe
	}
	return fmt.Errorf("the client could not handle an argument or a reply (%T, its text withheld)", err)
}

// find returns the first error in the tree of err that Clean may return, cleaned.
// It returns nil if there is none.
func find(err error) error {
	if _, safe := err.(interface{ SafeText() }); safe {
		return err
	}
	if reply, ok := err.(redis.Error); ok {
		return cleanReply(reply)
	}
	if harmless(err) {
		return err
	}
	switch err := err.(type) {
	case interface{ Unwrap() error }:
		if inner := err.Unwrap(); inner != nil {
			return find(inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range err.Unwrap() {
			if safe := find(inner); safe != nil {
				return safe
			}
		}
	}
	return nil
}

var sentinels = []error{
	context.Canceled, context.DeadlineExceeded,
	io.EOF, io.ErrUnexpectedEOF,
	redis.ErrClosed, redis.ErrPoolTimeout, redis.ErrPoolExhausted,
}

// harmless reports whether the text of err is fixed, or quotes only addresses and
// certificates. The errors of the packages below do no more than that.
func harmless(err error) bool {
	for _, sentinel := range sentinels {
		if err == sentinel {
			return true
		}
	}
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.PkgPath() {
	case "context", "net", "syscall", "internal/poll", "crypto/tls", "crypto/x509":
		return true
	case "os":
		return t.Name() == "SyscallError"
	}
	return false
}

// reply is a reply of Redis without the text that it quoted.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

func cleanReply(err redis.Error) error {
	text := err.Error()
	if clean := cleanText(text); clean != text {
		return reply(clean)
	}
	return err
}

func cleanText(text string) string {
	text, _, _ = strings.Cut(text, ", with args beginning with")
	// Redis 7.2 names the user: after NOPERM or, if a script ran, later in the text.
	if before, rest, ok := strings.Cut(text, "User "); ok {
		if i := strings.LastIndex(rest, " has no permissions"); i >= 0 {
			text = before + "this user" + rest[i:]
		}
	}
	for i := 0; i < len(text); i++ {
		if strings.HasPrefix(text[i:], setting) {
			i += len(setting) - 1
		} else if strings.IndexByte("'\"`", text[i]) >= 0 && !apostrophe(text, i) && !namesCommand(text[i+1:]) {
			return text[:i] + "…"
		}
	}
	return text
}

// setting is the name that Redis quotes when it is out of memory. It is no data.
const setting = "'maxmemory'"

// apostrophe reports whether the quote at i is inside a word, as in "can't", or
// directly after the name of a command that namesCommand has accepted.
func apostrophe(text string, i int) bool {
	return text[i] == '\'' && i > 0 && i+1 < len(text) && isLetter(text[i-1]) &&
		(isLetter(text[i+1]) || strings.HasPrefix(text[i+1:], " command"))
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// namesCommand reports whether text, which follows an opening quote, begins with the
// name of a command that Redis itself writes there: 'config|get' command.
func namesCommand(text string) bool {
	name, _, found := strings.Cut(text, "' command")
	return found && name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz|-_.") == ""
}
