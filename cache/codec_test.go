package cache_test

import (
	"errors"
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
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		c := newCache[string](t, s, func(cfg *cache.Config) { cfg.Codec = upper{} })
		want(t, get(t, c, newSource("olá"), "1"), "olá")
		if got := stored(t, s, "1"); got != "OLÁ" {
			t.Errorf("Redis holds %q", got)
		}
		broken := newCache[string](t, s, func(cfg *cache.Config) { cfg.Codec = upper{errors.New("CANARY")} })
		for name, err := range map[string]error{
			"GetOrLoad": get(t, broken, newSource("v"), "2").err,
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

// What the TypeScript services write, we read; what we write, they read.
func TestTheBytesAreThoseOfTheOtherServices(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
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
