// Package redact takes the data out of errors.
//
// An error that leaves this library must not carry a key, an id, a value, a user's
// name or a password. Most errors of go-redis and of the network do not; some
// replies of Redis quote a command's arguments, and every parser quotes its input.
package redact

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/breaker"
	"github.com/convkit/rediskit/internal/script"
)

// Clean returns err, or what of it may be told.
//
// These come back as they are, for errors.Is and errors.As: the ends of contexts,
// errors of the network and of TLS, those of go-redis's pool, the breaker's,
// script.ErrReply, and Redis's replies, redis.Nil among them. A reply that quotes something is replaced
// by the same reply without it, still a redis.Error. A wrapper is dropped in favour
// of the first such error within it. Of anything else only the type is told.
func Clean(err error) error {
	if err == nil {
		return nil
	}
	if told := find(err); told != nil {
		return told
	}
	return fmt.Errorf("the client could not handle an argument or a reply (%T, its text withheld)", err)
}

// find returns the first error in err's tree that may be told, cleaned; or nil.
func find(err error) error {
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
			if told := find(inner); told != nil {
				return told
			}
		}
	}
	return nil
}

var sentinels = []error{
	context.Canceled, context.DeadlineExceeded,
	io.EOF, io.ErrUnexpectedEOF,
	redis.ErrClosed, redis.ErrPoolTimeout, redis.ErrPoolExhausted,
	breaker.ErrOpen, script.ErrReply,
}

// harmless reports whether err's own text is fixed, or quotes only addresses and
// certificates, as the errors of these packages do.
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

// reply is a reply of Redis without what it quoted.
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
	// Redis 7.2 names the user, after NOPERM or, where a script ran, further on.
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

// setting is what Redis quotes when it is out of memory.
const setting = "'maxmemory'"

// apostrophe reports whether the quote at i stands within a word, as in "can't",
// or right after a command's name, which namesCommand has let pass.
func apostrophe(text string, i int) bool {
	return text[i] == '\'' && i > 0 && i+1 < len(text) && isLetter(text[i-1]) &&
		(isLetter(text[i+1]) || strings.HasPrefix(text[i+1:], " command"))
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// namesCommand reports whether text, the rest after an opening quote, begins with
// the name of a command that Redis itself puts there: 'config|get' command.
func namesCommand(text string) bool {
	name, _, found := strings.Cut(text, "' command")
	return found && name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz|-_.") == ""
}
