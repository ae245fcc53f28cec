package rediskit

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// A Log writes the errors that no caller gets, and the changes of circuit breakers, to a
// slog.Logger. Pass its methods to the Configs of this module:
//
//	log := rediskit.NewLog(slog.Default())
//	cfg := rediskit.Config{OnError: log.OnError, OnState: log.OnState}
//
// A flood of equal errors is one line, and one more every ten seconds with their count.
// Errors are equal if their texts differ in numbers alone. No line has a key, an id or a
// value in it. A Log is safe for concurrent use. It owns no goroutine.
type Log struct {
	logger *slog.Logger

	mu    sync.Mutex
	kinds map[string]*kind
	open  map[string]bool // nodes whose opening was logged
}

// A kind is errors that are equal.
type kind struct {
	last  string // the text of the newest one
	count int    // since the last line
}

const (
	// floodPause is the time between two lines about equal errors.
	floodPause = 10 * time.Second
	// maxKinds bounds the kinds that are counted at once. Others are not counted, but
	// each has its line.
	maxKinds = 100
)

// NewLog returns a Log to logger, or to slog.Default() if that is nil.
func NewLog(logger *slog.Logger) *Log {
	if logger == nil {
		logger = slog.Default()
	}
	return &Log{logger: logger, kinds: map[string]*kind{}, open: map[string]bool{}}
}

// OnError logs err as a warning. It is for Config.OnError of each package.
func (l *Log) OnError(ctx context.Context, err error) {
	text := err.Error()
	if l.first(kindOf(text), text) {
		l.logger.LogAttrs(ctx, slog.LevelWarn, "redis", slog.String("error", text))
	}
}

// first reports whether the error is the first of its kind for some time. It counts the
// others, and sees to it that they are logged.
func (l *Log) first(name, text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k, known := l.kinds[name]; known {
		k.last, k.count = text, k.count+1
		return false
	}
	if len(l.kinds) < maxKinds {
		l.kinds[name] = &kind{}
		time.AfterFunc(floodPause, func() { l.flush(name) })
	}
	return true
}

// flush logs how many errors of a kind came, and goes on counting while they come.
func (l *Log) flush(name string) {
	l.mu.Lock()
	k := l.kinds[name]
	text, count := k.last, k.count
	if k.count = 0; count == 0 {
		delete(l.kinds, name)
	}
	l.mu.Unlock()
	if count > 0 {
		l.logger.LogAttrs(context.Background(), slog.LevelWarn, "redis", slog.String("error", text), slog.Int("count", count))
		time.AfterFunc(floodPause, func() { l.flush(name) })
	}
}

// OnState logs that a circuit breaker opens, as an error with the reason, and that it
// closes, as information. A probe that fails is not logged: the breaker stays open. It is
// for Config.OnState.
func (l *Log) OnState(s NodeState) {
	isOpen := s.State != StateClosed
	l.mu.Lock()
	changed := l.open[s.Addr] != isOpen
	if l.open[s.Addr] = isOpen; !isOpen {
		delete(l.open, s.Addr)
	}
	l.mu.Unlock()
	if !changed {
		return
	}
	attrs := []slog.Attr{slog.String("node", s.Addr), slog.String("state", s.State.String())}
	level := slog.LevelInfo
	if isOpen {
		level = slog.LevelError
		attrs = append(attrs, slog.Any("reason", s.Reason))
	}
	l.logger.LogAttrs(context.Background(), level, "redis", attrs...)
}

// kindOf returns text with each number replaced by a '#'.
func kindOf(text string) string {
	var b strings.Builder
	inNumber := false
	for _, r := range text {
		digit := r >= '0' && r <= '9'
		switch {
		case !digit:
			b.WriteRune(r)
		case !inNumber:
			b.WriteByte('#')
		}
		inNumber = digit
	}
	return b.String()
}
