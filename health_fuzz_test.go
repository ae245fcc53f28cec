package rediskit

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Each text that a server reports about itself becomes a value or unknown, and can be
// marshalled to JSON for a health endpoint.
func FuzzAnyServerReportMarshalsToJSON(f *testing.F) {
	f.Add("redis_version:7.0.15\r\nrole:slave\r\nused_memory:1\r\nrdb_last_save_time:1764000000\r\nrdb_last_bgsave_status:ok\r\n", "role,replica,mode,cluster")
	f.Add("rdb_last_save_time:99999999999999\nmaxclients:-1\nused_memory:9223372036854775808", "role")
	f.Add("rdb_last_save_time:-99999999999999", ",,,")
	f.Add(":\n::\r\n\x00", "\xff,\xff")
	f.Fuzz(func(t *testing.T, info, hello string) {
		flat, pairs := []any{}, map[any]any{}
		for i, word := range strings.Split(hello, ",") {
			if i%5 == 4 {
				flat = append(flat, int64(i), nil)
			}
			flat = append(flat, word)
			pairs[word] = word
		}
		for _, reply := range []any{flat, pairs, info, nil} {
			var h NodeHealth
			h.fill(parseHello(redis.NewCmdResult(reply, nil)), parseInfo(info))
			if _, err := json.Marshal(h); err != nil {
				t.Errorf("%q, %q: %v", info, hello, err)
			}
			for name, n := range map[string]Reported[int64]{"used": h.MemoryUsed, "clients": h.Clients, "most clients": h.MaxClients} {
				if v, known := n.Get(); !known && v != 0 {
					t.Errorf("%s is unknown and %d", name, v)
				}
			}
		}
	})
}
