package redistest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
)

// A framer cuts one direction of a connection into commands or replies. It changes no byte.
type framer struct {
	r      *bufio.Reader
	opaque bool // TLS: a frame is what has arrived so far
}

// next returns the next whole frame.
func (f *framer) next() ([]byte, error) {
	first, err := f.r.Peek(1)
	if err != nil {
		return nil, err
	}
	if first[0] >= 0x14 && first[0] <= 0x17 { // a TLS record, never the start of RESP
		f.opaque = true
	}
	if f.opaque {
		chunk := make([]byte, f.r.Buffered())
		_, err := io.ReadFull(f.r, chunk)
		return chunk, err
	}
	return f.value(nil)
}

// value appends one RESP value, or one inline command, to b.
func (f *framer) value(b []byte) ([]byte, error) {
	line, err := f.r.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	b = append(b, line...)
	nested := 0
	switch line[0] {
	case '$', '=', '!':
		n, err := length(line)
		if err != nil || n < 0 {
			return b, err
		}
		start := len(b)
		b = append(b, make([]byte, n+2)...)
		_, err = io.ReadFull(f.r, b[start:])
		return b, err
	case '*', '~', '>':
		nested, err = length(line)
	case '%':
		nested, err = length(line)
		nested *= 2
	case '|': // attributes, then the value that they describe
		nested, err = length(line)
		nested = 2*nested + 1
	}
	for ; err == nil && nested > 0; nested-- {
		b, err = f.value(b)
	}
	return b, err
}

func length(line []byte) (int, error) {
	n, err := strconv.Atoi(string(bytes.TrimSpace(line[1:])))
	if err != nil {
		return 0, errors.New("a RESP length is not a number")
	}
	return n, nil
}

// isPush reports whether a frame is a push message, which is no reply to a command.
func isPush(frame []byte) bool { return frame[0] == '>' }

// commandName returns the first word of a command frame, in upper case.
func commandName(frame []byte) string {
	if frame[0] == '*' {
		parts := bytes.SplitN(frame, []byte("\r\n"), 4)
		if len(parts) < 4 {
			return ""
		}
		return strings.ToUpper(string(parts[2]))
	}
	word, _, _ := strings.Cut(strings.TrimSpace(string(frame)), " ")
	return strings.ToUpper(word)
}
