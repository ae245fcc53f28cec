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

// Scripts and MGET are answered with nonsense, as by a proxy that means well or
// a server of another make: each call returns, and none panics.
func TestAReplyOfAForeignShapeIsAnError(t *testing.T) {
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
			k := newKit(t, answering(s, func() any { return reply }), s.Prefix()+fmt.Sprint(i))
			for name, call := range k.calls("1", talk{Speaker: "user_1"}) {
				ctx, cancel := context.WithTimeout(t.Context(), brief)
				before := len(k.told.All())
				err := call(ctx)
				cancel()
				quiet := err == nil && len(k.told.All()) == before
				if quiet && mustComplain(name, reply) {
					t.Errorf("%s took %#v", name, reply)
				}
				tellsNothing(t, name, err)
			}
			for _, err := range k.told.All() {
				tellsNothing(t, "OnError", err)
			}
		})
	}
}

// mustComplain says whether a call depends on what a script returned, and the
// reply is not one of those that some script does return.
func mustComplain(call string, reply any) bool {
	scripted := strings.HasPrefix(call, "session ") && !slices.Contains([]string{"session get", "session count", "session all", "session update"}, call) ||
		strings.HasSuffix(call, " or load") || strings.HasSuffix(call, " set") || strings.HasSuffix(call, " peek") || call == "lock try"
	switch reply {
	case "OK":
		scripted = scripted && call != "lock try"
	case int64(-7): // of a fill
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
	var reply atomic.Pointer[any] // loads outlast the calls that began them
	reply.Store(new(any))
	k := newKit(f, answering(s, func() any { return *reply.Load() }), s.Prefix())
	calls := k.calls("1", talk{Speaker: "user_1"})
	names := []string{}
	for name := range calls {
		if !strings.HasPrefix(name, "lock ") && !strings.HasSuffix(name, " clear") { // which wait
			names = append(names, name)
		}
	}
	slices.Sort(names)
	f.Fuzz(func(t *testing.T, data []byte, which byte) {
		name := names[int(which)%len(names)]
		grown, _ := grow(data, 3)
		reply.Store(&grown)
		ctx, cancel := context.WithTimeout(t.Context(), brief)
		defer cancel()
		tellsNothing(t, name, calls[name](ctx))
	})
}

// words are those that get a reply past the first look at it.
var words = []string{canary, "OK", "value", "owned", "held", "absent", "done", "exists", "conflict", "refused", "-1", "nan", "1e300", "{}", `{"n":` + canary, ""}

// grow makes a reply out of data and returns what is left of that.
func grow(data []byte, depth int) (any, []byte) {
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
		v, data = grow(data, depth-1)
		list = append(list, v)
	}
	return list, data
}

// answering is a client whose scripts and MGET are not sent but answered.
func answering(s *redistest.Server, reply func() any) *redis.Client {
	rdb := s.Client()
	rdb.AddHook(answers(reply))
	return rdb
}

type answers func() any

func (h answers) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h answers) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if h.answer(cmd) {
			return cmd.Err()
		}
		return next(ctx, cmd)
	}
}

func (h answers) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		left := slices.DeleteFunc(slices.Clone(cmds), h.answer)
		if len(left) == 0 {
			return nil
		}
		return next(ctx, left)
	}
}

func (h answers) answer(cmd redis.Cmder) bool {
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
