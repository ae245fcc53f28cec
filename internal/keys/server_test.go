package keys_test

import (
	"math/rand/v2"
	"testing"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

func TestSlotsAreThoseOfTheServer(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t, "--cluster-enabled", "yes").Client()
	const alphabet = "{{}}ab\x00:"
	for range 3000 {
		key := make([]byte, 1+rand.IntN(12))
		for i := range key {
			key[i] = alphabet[rand.IntN(len(alphabet))]
		}
		want, err := rdb.ClusterKeySlot(t.Context(), string(key)).Result()
		if err != nil {
			t.Fatal(err)
		}
		sibling := keys.Sibling("lease", string(key))
		of, err := rdb.ClusterKeySlot(t.Context(), sibling).Result()
		if err != nil {
			t.Fatal(err)
		}
		if int64(keys.Slot(string(key))) != want || of != want {
			t.Fatalf("%q: Slot says %d, the server %d, and %d for the sibling", key, keys.Slot(string(key)), want, of)
		}
	}
}
