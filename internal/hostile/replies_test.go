package hostile

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

// A proxy, or a server of another make, may reply to scripts and MGET with unexpected
// values. Each call returns, and none panics.
func TestAReplyOfAnUnexpectedShapeIsAnError(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	for i, reply := range []any{
		int64(-7), 1.5, true, "", canary, "OK", "value",
		[]any{},
		[]any{nil},
		[]any{canary},
		[]any{"value"},
		[]any{"value", int64(1)},
		[]any{"owned"},
		[]any{"owned", canary},
		[]any{canary, canary, canary},
		[]any{"done"},
		[]any{"done", canary},
		[]any{"done", int64(0)},
		[]any{"done", int64(-1)},
		[]any{canary, int64(1)},
		[]any{"conflict", int64(1), canary},
		[]any{"conflict", int64(1), []any{canary}},
		[]any{"conflict", int64(1), []any{"n", nil}},
		[]any{int64(1)},
		[]any{int64(1), int64(0), int64(1)},
		[]any{int64(1), int64(0), int64(-1), int64(-1), int64(1), int64(1), int64(1), int64(1)},
		[]any{int64(1), int64(0), int64(1), int64(1) << 62, int64(1), int64(1), int64(1), int64(1)},
		[]any{int64(1), int64(1), "x", "1"},
		[]any{int64(1), int64(1), "1", "1e300"},
		[]any{int64(1), int64(-1), "1", "1"},
		[]any{nil, nil, nil, nil},
		map[any]any{canary: canary},
		[]any{[]any{}, []any{}},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			k := newKit(t, clientWithReplies(s, func() any { return reply }), s.Prefix()+fmt.Sprint(i))
			for name, call := range k.calls("1", talk{Speaker: "user_1"}) {
				ctx, cancel := context.WithTimeout(t.Context(), shortWait)
				before := len(k.onError.All())
				err := call(ctx)
				cancel()
				silent := err == nil && len(k.onError.All()) == before
				if silent && mustReport(name, reply) {
					t.Errorf("%s accepted %#v", name, reply)
				}
				expectNoLeak(t, name, err)
			}
			for _, err := range k.onError.All() {
				expectNoLeak(t, "OnError", err)
			}
		})
	}
}

// mustReport reports whether a call must return or report an error for reply: the call
// depends on what its script returns, and no script returns that.
func mustReport(call string, reply any) bool {
	scripted := strings.HasPrefix(call, "session ") && !slices.Contains([]string{"session get", "session count", "session all", "session update"}, call) ||
		strings.HasSuffix(call, " or load") || strings.HasSuffix(call, " set") || strings.HasSuffix(call, " peek") || call == "lock try"
	switch reply {
	case "OK":
		scripted = scripted && call != "lock try"
	case int64(-7): // a fill may return it
		scripted = scripted && !strings.HasSuffix(call, " set")
	}
	return scripted
}

func FuzzNoReplyMakesACallPanic(f *testing.F) {
	for i := range byte(40) {
		f.Add([]byte{i}, i)
		f.Add([]byte{5, i, i + 1, i + 2}, i)
		f.Add([]byte{7, 8, i, 7, 8, i, 2, 0, 0, 0, 0, 0, 0, 0, i}, i)
	}
	s := redistest.Mini(f)
	var reply atomic.Pointer[any] // loads go on after the calls that started them
	reply.Store(new(any))
	k := newKit(f, clientWithReplies(s, func() any { return *reply.Load() }), s.Prefix())
	calls := k.calls("1", talk{Speaker: "user_1"})
	names := []string{}
	for name := range calls {
		if !strings.HasPrefix(name, "lock ") && !strings.HasSuffix(name, " clear") { // these calls wait
			names = append(names, name)
		}
	}
	slices.Sort(names)
	f.Fuzz(func(t *testing.T, data []byte, which byte) {
		name := names[int(which)%len(names)]
		built, _ := replyOf(data, 3)
		reply.Store(&built)
		ctx, cancel := context.WithTimeout(t.Context(), shortWait)
		defer cancel()
		expectNoLeak(t, name, calls[name](ctx))
	})
}

// words are texts that some script returns, and texts that are hard to parse.
var words = []string{canary, "OK", "value", "owned", "held", "absent", "done", "exists", "conflict", "refused", "-1", "nan", "1e300", "{}", `{"n":` + canary, ""}

// replyOf builds a reply from data and returns the data that it did not use.
func replyOf(data []byte, depth int) (any, []byte) {
	if len(data) == 0 {
		return nil, nil
	}
	kind, data := data[0], data[1:]
	switch {
	case kind%8 == 0 || depth == 0:
		return words[int(kind/8)%len(words)], data
	case kind%8 == 1:
		return int64(kind/8) - 4, data
	case kind%8 == 2:
		n := int64(binary.LittleEndian.Uint64(append(slices.Clone(data), make([]byte, 8)...)))
		return n, data[min(8, len(data)):]
	case kind%8 == 3:
		return nil, data
	case kind%8 == 4:
		return float64(kind), data
	}
	list := []any{}
	for range kind / 8 {
		var v any
		v, data = replyOf(data, depth-1)
		list = append(list, v)
	}
	return list, data
}

// clientWithReplies returns a client that answers scripts and MGET itself, with reply, and
// does not send them.
func clientWithReplies(s *redistest.Server, reply func() any) *redis.Client {
	rdb := s.Client()
	rdb.AddHook(replyHook(reply))
	return rdb
}

// A replyHook answers scripts and MGET.
type replyHook func() any

func (h replyHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h replyHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if h.answer(cmd) {
			return cmd.Err()
		}
		return next(ctx, cmd)
	}
}

func (h replyHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		left := slices.DeleteFunc(slices.Clone(cmds), h.answer)
		if len(left) == 0 {
			return nil
		}
		return next(ctx, left)
	}
}

func (h replyHook) answer(cmd redis.Cmder) bool {
	switch cmd.Name() {
	case "evalsha", "eval", "mget":
	default:
		return false
	}
	reply := h()
	if reply == nil {
		cmd.SetErr(redis.Nil)
	}
	switch cmd := cmd.(type) {
	case interface{ SetVal(any) }:
		cmd.SetVal(reply)
	case interface{ SetVal([]any) }:
		list, _ := reply.([]any)
		cmd.SetVal(list)
	}
	return true
}
