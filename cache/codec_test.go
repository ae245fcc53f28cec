package cache_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
)

// upper is a codec of the test's own.
type upper struct{ fail error }

func (u upper) Marshal(v any) ([]byte, error) {
	return []byte(strings.ToUpper(v.(string))), u.fail
}

func (u upper) Unmarshal(data []byte, v any) error {
	*v.(*string) = strings.ToLower(string(data))
	return u.fail
}

func TestACodecOfTheCallersOwn(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		c := newCache[string](t, s, func(cfg *cache.Config) { cfg.Codec = upper{} })
		want(t, get(t, c, newSource("olá"), "1"), "olá")
		if got := stored(t, s, "1"); got != "OLÁ" {
			t.Errorf("Redis holds %q", got)
		}
		broken := newCache[string](t, s, func(cfg *cache.Config) { cfg.Codec = upper{errors.New("CANARY")} })
		for name, err := range map[string]error{
			"GetOrLoad": get(t, broken, newSource("v"), "2").Err,
			"Set":       broken.Set(t.Context(), "2", "v"),
		} {
			if !errors.Is(err, cache.ErrCodec) || strings.Contains(err.Error(), "CANARY") {
				t.Errorf("%s = %v, want ErrCodec without the codec's own text", name, err)
			}
		}
		if n := s.Client().Exists(t.Context(), keyOf(s, "2"), leaseOf(s, "2")).Val(); n != 0 {
			t.Error("a value that cannot be encoded left something behind")
		}
	})
}

func TestADecoderThatFailsHalfwayLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		type pair struct{ A, B string }
		c := newCache[pair](t, s)
		s.Client().Set(t.Context(), keyOf(s, "1"), `{"A":"a part","B":7}`, time.Minute)
		if v, err := c.Get(t.Context(), "1"); !errors.Is(err, cache.ErrMiss) || v != (pair{}) {
			t.Errorf("Get = %+v, %v; want a zero value", v, err)
		}
		v, err := c.GetOrLoad(t.Context(), "1", func(context.Context, string) (pair, error) { return pair{}, errors.New("x") })
		if err == nil || v != (pair{}) {
			t.Errorf("GetOrLoad = %+v, %v; want a zero value", v, err)
		}
	})
}

// fragile is a type whose own decoder and encoder panic on some values.
type fragile struct{ Text string }

func (f fragile) MarshalJSON() ([]byte, error) {
	if f.Text == "unwritable" {
		panic("CANARY")
	}
	return json.Marshal(f.Text)
}

func (f *fragile) UnmarshalJSON(data []byte) error {
	if strings.Contains(string(data), "unreadable") {
		panic("CANARY")
	}
	return json.Unmarshal(data, &f.Text)
}

func TestAValueWhoseDecoderPanicsIsAMissAndIsReplaced(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		var reported redistest.Recorder
		c := newCache[fragile](t, s, onError(&reported))
		s.Client().Set(t.Context(), keyOf(s, "1"), `"unreadable"`, time.Minute)
		if _, err := c.Get(t.Context(), "1"); !errors.Is(err, cache.ErrMiss) {
			t.Errorf("Get = %v, want a miss", err)
		}
		for range 2 {
			v, err := c.GetOrLoad(t.Context(), "1", func(context.Context, string) (fragile, error) { return fragile{"v"}, nil })
			want(t, redistest.Result[string]{Value: v.Text, Err: err}, "v")
		}
		var panicked *cache.PanicError
		if got := c.Stats(); got.Undecodable != 2 || len(reported.All()) != 2 || !errors.As(reported.All()[0], &panicked) {
			t.Errorf("stats = %+v, OnError received %v; want the panic twice", got, reported.All())
		} else if !strings.Contains(string(panicked.Stack), "codec_test.go") || reported.Has("CANARY") {
			t.Errorf("OnError received %v with the stack %s", reported.All(), panicked.Stack)
		} else if text := fmt.Sprintf("%+v", reported.All()[0]); !strings.Contains(text, "codec_test.go") || strings.Contains(text, "CANARY") {
			t.Errorf("%%+v prints %s", text)
		}
	})
}

func TestAValueWhoseEncoderPanicsIsAnError(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		c := newCache[fragile](t, s)
		bad := fragile{"unwritable"}
		_, err := c.GetOrLoad(t.Context(), "1", func(context.Context, string) (fragile, error) { return bad, nil })
		for name, err := range map[string]error{"GetOrLoad": err, "Set": c.Set(t.Context(), "1", bad)} {
			var panicked *cache.PanicError
			if !errors.Is(err, cache.ErrCodec) || !errors.As(err, &panicked) || panicked.Value != "CANARY" || strings.Contains(err.Error(), "CANARY") {
				t.Errorf("%s = %v, want ErrCodec and a PanicError", name, err)
			}
		}
	})
}

// What the TypeScript services write, we read; what we write, they read.
func TestTheBytesAreThoseOfTheOtherServices(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		type conversation struct {
			ID        string    `json:"id"`
			Title     string    `json:"title"`
			Messages  int       `json:"messages"`
			StartedAt time.Time `json:"started_at"`
		}
		c := newCache[[]conversation](t, s)
		const theirs = `[{"id":"a1","title":"Previsão do tempo","messages":3,"started_at":"2025-11-27T12:00:00.000Z"}]`
		s.Client().SetEx(t.Context(), keyOf(s, "1"), theirs, 300*time.Second)
		list, err := c.Get(t.Context(), "1")
		if err != nil || len(list) != 1 || list[0].Title != "Previsão do tempo" || list[0].StartedAt.Unix() != 1764244800 {
			t.Errorf("got %+v, %v", list, err)
		}
		if err := c.Set(t.Context(), "2", list); err != nil {
			t.Fatal(err)
		}
		const ours = `[{"id":"a1","title":"Previsão do tempo","messages":3,"started_at":"2025-11-27T12:00:00Z"}]`
		if got := stored(t, s, "2"); got != ours {
			t.Errorf("Redis holds %s", got)
		}
		if kind := s.Client().Type(t.Context(), keyOf(s, "2")).Val(); kind != "string" {
			t.Errorf("a %s", kind)
		}
	})
}
