package redact_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redact"
)

const canary = "s3cr3t-canary"

// reply is what a server's error reply looks like to go-redis's callers.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

var errFixed = redact.New("a fixed text")

// marked is an error of another package that says of itself that it holds no data.
type marked struct{}

func (marked) Error() string { return "marked" }
func (marked) SafeText()     {}

func TestCleanNeverShowsACanary(t *testing.T) {
	t.Parallel()
	_, numErr := strconv.ParseInt(canary, 10, 64)
	_, urlErr := url.Parse(fmt.Sprintf("redis://user:%s@host:port", canary))
	jsonErr := json.Unmarshal([]byte(`{"a":"`+canary+`"}`), &struct{ A int }{})
	for name, err := range map[string]error{
		"unknown command": reply("ERR unknown command 'GETT', with args beginning with: '" + canary + "' "),
		"command is data": reply("ERR unknown command '" + canary + "', with args beginning with: "),
		"quoted":          reply(`ERR no such thing "` + canary + `"`),
		"lua":             reply("ERR user_script:1: bad '" + canary + "' script"),
		"user":            reply("NOPERM User " + canary + " has no permissions to run the 'get' command"),
		"user in script":  reply("NOPERM ACL failure in script: User " + canary + " has no permissions to run the 'get' command"),
		"user of script":  reply("ERR ACL failure in script: User " + canary + " has no permissions to run the 'get' command script: 1fd, on @user_script:1."),
		"aborted":         reply("EXECABORT Transaction discarded because of: NOPERM User " + canary + " has no permissions to run the 'get' command"),
		"number":          numErr,
		"url":             urlErr,
		"json":            jsonErr,
		"plain":           errors.New(canary),
		"wrapped reply":   fmt.Errorf("%s: %w", canary, reply("WRONGTYPE Operation")),
		"joined":          errors.Join(errors.New(canary), io.EOF),
		"resp":            fmt.Errorf("redis: can't parse %q", canary),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for err := redact.Clean(err); err != nil; err = errors.Unwrap(err) {
				for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%s"} {
					if text := fmt.Sprintf(verb, err); strings.Contains(text, canary) {
						t.Fatalf("%s shows %s", verb, text)
					}
				}
			}
		})
	}
}

// A quoted text in a reply of Redis is removed, whatever text surrounds it.
func FuzzCleanNeverShowsWhatAReplyQuotes(f *testing.F) {
	for _, before := range []string{
		"ERR", "OOM command not allowed when used memory > 'maxmemory'.", "NOPERM User x has no permissions", "ERR unknown command 'GETT', with args beginning with:",
		"ERR wrong number of arguments for 'config|get' command", "READONLY You can't write", "ERR '", "OOM", "WRONGPASS User", "it's", "x command", "",
	} {
		for i := range byte(3) {
			f.Add(before, i, "")
			f.Add(before, i, "' command")
			f.Add(before, i, " has no permissions to run the 'get' command")
		}
	}
	f.Fuzz(func(t *testing.T, before string, quote byte, after string) {
		q := "'\"`"[quote%3:][:1]
		text := before + " " + q + canary + q + after
		for _, err := range []error{reply(text), fmt.Errorf("%s: %w", canary, reply(text)), errors.Join(errors.New(text), reply(text))} {
			if clean := redact.Clean(err); strings.Contains(clean.Error(), canary) && !strings.Contains(before+after, canary) {
				t.Errorf("%q became %q", text, clean)
			}
		}
	})
}

func TestCleanKeepsTheErrorsThatCallersTestFor(t *testing.T) {
	t.Parallel()
	_, dialErr := (&net.Dialer{}).DialContext(t.Context(), "tcp", "127.0.0.1:0")
	for _, err := range []error{
		context.Canceled, context.DeadlineExceeded, io.EOF, syscall.ECONNRESET, dialErr,
		redis.Nil, redis.ErrClosed, redis.ErrPoolTimeout, redis.TxFailedErr, errFixed,
		marked{},
		reply("LOADING Redis is loading the dataset in memory"),
		reply("OOM command not allowed when used memory > 'maxmemory'."),
		reply("READONLY You can't write against a read only replica."),
		reply("NOPERM this user has no permissions to run the 'config|get' command"),
		reply("ERR wrong number of arguments for 'get' command"),
		reply("MOVED 3999 127.0.0.1:6381"),
	} {
		if got := redact.Clean(err); got != err {
			t.Errorf("Clean(%v) = %v, want it unchanged", err, got)
		}
		if got := redact.Clean(fmt.Errorf("wrapped: %w", err)); got != err {
			t.Errorf("Clean of a wrapped %v = %v, want the error within", err, got)
		}
	}
	if redact.Clean(nil) != nil {
		t.Error("Clean(nil) is an error")
	}
}

func TestAFixedErrorEqualsOnlyItself(t *testing.T) {
	t.Parallel()
	clean := redact.Clean(fmt.Errorf("%s: %w", canary, errFixed))
	if !errors.Is(clean, errFixed) || errors.Is(clean, redact.New(errFixed.Error())) || clean.Error() != "a fixed text" {
		t.Errorf("got %v", clean)
	}
}

func TestAReplyWithoutItsQuoteStaysAReply(t *testing.T) {
	t.Parallel()
	err := redact.Clean(reply("ERR unknown command 'GETT', with args beginning with: 'k' "))
	if want := "ERR unknown command …"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if !redis.HasErrorPrefix(err, "unknown command") {
		t.Error("no longer recognised by redis.HasErrorPrefix")
	}
	err = redact.Clean(reply("NOPERM User app has no permissions to run the 'info' command"))
	if want := "NOPERM this user has no permissions to run the 'info' command"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if !redis.IsPermissionError(err) {
		t.Error("no longer recognised by redis.IsPermissionError")
	}
}
