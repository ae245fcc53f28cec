package primary

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/convkit/rediskit/internal/refusal"
)

// A peer is what a server says about itself.
type peer struct {
	role role
	run  string // the run id, new at each start of a server; "" if it does not say
	mute bool   // it does not permit INFO
}

// A role is what HELLO says about a server: "master", or "replica". It is "" if HELLO
// does not say it.
type role string

func (r role) isPrimary() bool { return r == "master" }
func (r role) isReplica() bool { return r != "" && r != "master" }

// greet asks a new connection who the server is, in one round trip, and leaves
// nothing unread. A refusal of HELLO is no error: the handshake of go-redis follows,
// and says it better. If the server then hangs up, its refusal is the error.
func greet(conn net.Conn, username, password string, info bool) (peer, error) {
	hello := []string{"HELLO", "2"}
	if password != "" {
		if username == "" {
			username = "default"
		}
		hello = append(hello, "AUTH", username, password)
	}
	second := []string{"PING"}
	if info {
		second = []string{"INFO", "server"}
	}
	if _, err := conn.Write(request(request(nil, hello...), second...)); err != nil {
		return peer{}, err
	}
	replies := bufio.NewReader(conn)
	about, err := readReply(replies, maxDepth)
	var refused replyError
	if err != nil && !errors.As(err, &refused) {
		return peer{}, err
	}
	told, err := readReply(replies, maxDepth)
	var denied replyError
	switch {
	case errors.As(err, &denied):
	case err != nil && refused != "":
		return peer{}, refused
	case err != nil:
		return peer{}, err
	case replies.Buffered() > 0:
		return peer{}, errNotRedis
	}
	who := peer{role: role(field(about, "role")), mute: info && denied != "" && !refusal.Passes(denied)}
	if text, ok := told.(string); ok && info {
		for line := range strings.Lines(text) {
			if run, ok := strings.CutPrefix(line, "run_id:"); ok {
				who.run = strings.TrimSpace(run)
			}
		}
	}
	return who, nil
}

// sayHello asks again on a connection that was greeted.
func sayHello(conn net.Conn) (role, error) {
	if _, err := conn.Write(request(nil, "HELLO")); err != nil {
		return "", err
	}
	about, err := readReply(bufio.NewReader(conn), maxDepth)
	return role(field(about, "role")), err
}

// request appends a command to buf.
func request(buf []byte, args ...string) []byte {
	buf = fmt.Appendf(buf, "*%d\r\n", len(args))
	for _, arg := range args {
		buf = fmt.Appendf(buf, "$%d\r\n%s\r\n", len(arg), arg)
	}
	return buf
}

// A replyError is an error reply of the server.
type replyError string

func (e replyError) Error() string { return string(e) }

// RedisError makes it a redis.Error.
func (replyError) RedisError() {}

const (
	errNotRedis safeError = "what answers there does not speak Redis's protocol"

	maxElements = 1 << 10 // of an array
	maxBulk     = 1 << 20 // bytes
	maxDepth    = 4
)

// readReply reads one reply: a string, a list of replies, or nil. An error reply is a
// replyError.
func readReply(r *bufio.Reader, depth int) (any, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 3 || depth == 0 {
		return nil, errNotRedis
	}
	kind, text := line[0], string(line[1:len(line)-2])
	switch kind {
	case '+', ':':
		return text, nil
	case '-':
		return nil, replyError(text)
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil, n > maxBulk, kind == '*' && n > maxElements, kind != '*' && kind != '$':
		return nil, errNotRedis
	case n < 0:
		return nil, nil
	case kind == '$':
		text := make([]byte, n+2)
		_, err := io.ReadFull(r, text)
		return string(text[:n]), err
	}
	list := make([]any, n)
	for i := range list {
		if list[i], err = readReply(r, depth-1); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// field returns a text of HELLO's flat list of names and values, or "".
func field(about any, name string) string {
	list, _ := about.([]any)
	for i := 0; i+1 < len(list); i += 2 {
		if list[i] == name {
			value, _ := list[i+1].(string)
			return value
		}
	}
	return ""
}
