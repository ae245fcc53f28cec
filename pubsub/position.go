package pubsub

import (
	"strconv"
	"strings"
)

// A position is the place of a message in its channel's history: the id of its entry. Later
// messages have a greater time, as long as Redis keeps the history. The nonce tells apart
// entries of one time that two primaries have made. The zero value is no position.
type position struct {
	time  uint64 // in microseconds since 1970
	nonce uint64
}

// parsePosition reads what String returns.
func parsePosition(text string) (p position, ok bool) {
	left, right, _ := strings.Cut(text, "-")
	var err1, err2 error
	p.time, err1 = strconv.ParseUint(left, 10, 64)
	p.nonce, err2 = strconv.ParseUint(right, 10, 64)
	if err1 != nil || err2 != nil || p.time == 0 || p.String() != text {
		return position{}, false
	}
	return p, true
}

// String returns the position as it is in Redis, and "" for none.
func (p position) String() string {
	if p == (position{}) {
		return ""
	}
	return strconv.FormatUint(p.time, 10) + "-" + strconv.FormatUint(p.nonce, 10)
}

// A link says where a message is in the history, and behind which other one. The zero value
// is that of a message without a position.
type link struct {
	at, before position
	size       int // of the payload in bytes
}

// parseLink reads what record.lua publishes ahead of a message.
func parseLink(text string) (l link, ok bool) {
	at, rest, _ := strings.Cut(text, " ")
	before, size, _ := strings.Cut(rest, " ")
	var err error
	l.at, ok = parsePosition(at)
	l.size, err = strconv.Atoi(size)
	if !ok || err != nil {
		return link{}, false
	}
	l.before, ok = parsePosition(before)
	return l, ok || before == ""
}
