package backend_test

import (
	"testing"
	"time"

	"github.com/convkit/rediskit/examples/internal/backend"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

func TestKeysExpireInTheEmbeddedRedis(t *testing.T) {
	t.Parallel()
	b, err := backend.Embed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Client.Set(t.Context(), "k", "v", 20*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	redistest.Eventually(t, func() bool { return b.Client.Exists(t.Context(), "k").Val() == 0 }, "the key expires")
}
