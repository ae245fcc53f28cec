package cache_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestHostileIDsKeepToTheirOwnKeys(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		c := newCache[string](t, s)
		ids := []string{
			"1", " ", "a b", "\n", "\r\n", "\x00", "*", "?", "[a]", `\`, "{}", "{", "}", "{x}", "}{", "é", "\xff\xfe",
			"1:list", ":", "../1", "1}:list", strings.Repeat("x", 1<<20), strings.Repeat("{}", 1000),
		}
		for i, id := range ids {
			want(t, get(t, c, newSource(fmt.Sprint("of ", i)), id), fmt.Sprint("of ", i))
		}
		for i, id := range ids {
			if v, err := c.Get(t.Context(), id); err != nil || v != fmt.Sprint("of ", i) {
				t.Errorf("id %.20q holds %q, %v; want that of %d", id, v, err, i)
			}
		}
		rdb := s.Client()
		found := rdb.Keys(t.Context(), s.Prefix()+"*").Val()
		if len(found) != len(ids) {
			t.Errorf("%d keys for %d ids", len(found), len(ids))
		}
		for _, key := range found {
			if !strings.HasPrefix(key, s.Prefix()+":") || !strings.HasSuffix(key, ":list") {
				t.Errorf("%.40q is outside of the pattern", key)
			}
		}
		if err := c.Delete(t.Context(), "*"); err != nil {
			t.Fatal(err)
		}
		if n := len(rdb.Keys(t.Context(), s.Prefix()+"*").Val()); n != len(ids)-1 {
			t.Errorf("Delete(\"*\") left %d keys, want %d", n, len(ids)-1)
		}
		if err := c.Delete(t.Context(), ids...); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAnEmptyIDIsRefusedBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		c := newCacheOn[string](t, s, s.Hooked(func(func() error, ...string) error {
			t.Error("a command was sent")
			return redis.ErrClosed
		}))
		ctx, one := t.Context(), []string{"1", ""}
		for name, call := range map[string]func() error{
			"Get":       func() error { _, err := c.Get(ctx, ""); return err },
			"GetOrLoad": func() error { _, err := c.GetOrLoad(ctx, "", nil); return err },
			"GetMany":   func() error { _, err := c.GetMany(ctx, one); return err },
			"GetOrLoadMany": func() error {
				_, err := c.GetOrLoadMany(ctx, one, nil)
				return err
			},
			"Set":     func() error { return c.Set(ctx, "", "v") },
			"SetMany": func() error { return c.SetMany(ctx, map[string]string{"1": "v", "": "v"}) },
			"Delete":  func() error { return c.Delete(ctx, one...) },
		} {
			if err := call(); !errors.Is(err, cache.ErrEmptyID) {
				t.Errorf("%s = %v, want ErrEmptyID", name, err)
			}
		}
	})
}
