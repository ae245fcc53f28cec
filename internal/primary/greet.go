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

// A Peer is what a server says about itself. What it does not say is empty.
type Peer struct {
	Replica bool
	Mode    string            // as HELLO has it: standalone, cluster or sentinel
	Info    map[string]string // fields of the sections that were asked for
	Refused error             // the reply of a server that refused HELLO, else nil

	role role
	run  string // the run id, new at each start of a server
	mute bool   // it does not permit INFO
}

// A role is what HELLO says about a server: "master", or "replica". It is "" if HELLO
// does not say it.
type role string

func (r role) isPrimary() bool { return r == "master" }
func (r role) isReplica() bool { return r != "" && r != "master" }

// greet asks a new connection who the server is, in one round trip, and leaves
// nothing unread. A refusal of HELLO is no error, since the handshake of go-redis follows. If the server then hangs up, its refusal is the error. Without
// sections INFO is not asked.
func greet(conn net.Conn, username, password string, sections ...string) (Peer, error) {
	hello := []string{"HELLO", "2"}
	if password != "" {
		if username == "" {
			username = "default"
		}
		hello = append(hello, "AUTH", username, password)
	}
	questions := request(nil, hello...)
	for _, section := range sections {
		questions = request(questions, "INFO", section)
	}
	if len(sections) == 0 {
		questions = request(questions, "PING")
	}
	if _, err := conn.Write(questions); err != nil {
		return Peer{}, err
	}
	replies := bufio.NewReader(conn)
	about, err := readReply(replies, maxDepth)
	var refused replyError
	if err != nil && !errors.As(err, &refused) {
		return Peer{}, err
	}
	who := Peer{role: role(field(about, "role")), Mode: field(about, "mode"), Info: map[string]string{}}
	for range max(len(sections), 1) {
		told, err := readReply(replies, maxDepth)
		var denied replyError
		switch {
		case errors.As(err, &denied):
			who.mute = len(sections) > 0 && refused == "" && !refusal.Passes(denied) // else it may be the password
		case err != nil && refused != "":
			return Peer{}, refused
		case err != nil:
			return Peer{}, err
		}
		text, _ := told.(string)
		for line := range strings.Lines(text) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
				who.Info[name] = value
			}
		}
	}
	if replies.Buffered() > 0 {
		return Peer{}, errNotRedis
	}
	if refused != "" {
		who.Refused = refused
	}
	who.Replica, who.run = who.role.isReplica(), who.Info["run_id"]
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
	maxDepth    = 6       // HELLO lists the modules, each of them a list with a list of arguments
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
