package cache_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/jsoncodec"
	"github.com/convkit/rediskit/internal/redistest"
)

type benchConversation struct {
	ID           string    `json:"id"`
	SpeakerID    string    `json:"speaker_id"`
	Title        string    `json:"title"`
	LastMessage  string    `json:"last_message"`
	MessageCount int       `json:"message_count"`
	Tags         []string  `json:"tags"`
	StartedAt    time.Time `json:"started_at"`
	UpdatedAt    time.Time `json:"updated_at"`
}

func conversations(n int) []benchConversation {
	list := make([]benchConversation, n)
	start := time.Date(2026, 3, 14, 9, 26, 53, 589e6, time.UTC)
	for i := range list {
		list[i] = benchConversation{
			ID: fmt.Sprintf("3f2a8c1e-9b4d-4e6f-8a7b-%012d", i), SpeakerID: "user_1",
			Title:        "Previsão do tempo para o fim de semana em Florianópolis",
			LastMessage:  "Sábado com sol e máxima de 27 °C; no domingo há chance de chuva à tarde. Quer que eu avise se mudar?",
			MessageCount: 2 + i%17, Tags: []string{"clima", "viagem"},
			StartedAt: start.Add(time.Duration(i) * time.Hour), UpdatedAt: start.Add(time.Duration(i)*time.Hour + 90*time.Second),
		}
	}
	return list
}

// leastAllocs is how often f allocates with all pools filled, which the race detector
// empties now and then.
func leastAllocs(f func()) float64 {
	least := testing.AllocsPerRun(1, f)
	for range 100 {
		least = min(least, testing.AllocsPerRun(1, f))
	}
	return least
}

func TestAHitAllocatesAtMostTwoTimesMoreThanItsParts(t *testing.T) {
	s := redistest.Real(t)
	rdb, ctx := s.Client(), t.Context()
	c := newCacheOn[[]benchConversation](t, s, rdb)
	if err := c.Set(ctx, "1", conversations(2)); err != nil {
		t.Fatal(err)
	}
	key, json := keyOf(s, "1"), jsoncodec.For[[]benchConversation]()
	parts := leastAllocs(func() {
		text, err := rdb.Get(ctx, key).Bytes()
		if err == nil {
			_, err = json.Decode(text)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	hit := leastAllocs(func() {
		if _, err := c.GetOrLoad(ctx, "1", nil); err != nil {
			t.Fatal(err)
		}
	})
	if hit > parts+2 {
		t.Errorf("a hit allocates %v times, its parts %v", hit, parts)
	}
}

func TestALocalHitAllocatesNothing(t *testing.T) {
	s := redistest.Real(t)
	c := newLocal[[]benchConversation](t, s, func(cfg *cache.Config) {
		cfg.Local.ReadOnly, cfg.Verify.OneIn = true, 1_000_000 // hardly one of these hits is chosen
	})
	if err := c.Set(t.Context(), "1", conversations(2)); err != nil {
		t.Fatal(err)
	}
	redistest.Eventually(t, func() bool { return near(t, c, "1") }, "it is kept")
	load := func(context.Context, string) ([]benchConversation, error) { return nil, errors.New("no hit") }
	for name, hit := range map[string]func() ([]benchConversation, error){
		"Get":       func() ([]benchConversation, error) { return c.Get(t.Context(), "1") },
		"GetOrLoad": func() ([]benchConversation, error) { return c.GetOrLoad(t.Context(), "1", load) },
	} {
		if n := testing.AllocsPerRun(200, func() {
			if list, err := hit(); err != nil || len(list) != 2 {
				t.Fatal(len(list), err)
			}
		}); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

// BenchmarkLocalHit shows what Config.Verify costs the hits of Config.Local.
func BenchmarkLocalHit(b *testing.B) {
	for _, oneIn := range []int{0, 10_000, 100} {
		b.Run(fmt.Sprint("verify=", oneIn), func(b *testing.B) {
			s := redistest.Real(b)
			c := newLocal[[]benchConversation](b, s, func(cfg *cache.Config) {
				cfg.Local.ReadOnly, cfg.Verify.OneIn = true, oneIn
			})
			if err := c.Set(b.Context(), "1", conversations(2)); err != nil {
				b.Fatal(err)
			}
			redistest.Eventually(b, func() bool { return near(b, c, "1") }, "it is kept")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Get(b.Context(), "1"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
