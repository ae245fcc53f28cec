package rediskit

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Each text that a server reports about itself becomes a value or unknown, and can be
// marshalled to JSON for a health endpoint.
func FuzzAnyServerReportMarshalsToJSON(f *testing.F) {
	f.Add("redis_version:7.0.15\r\nrole:slave\r\nused_memory:1\r\nrdb_last_save_time:1764000000\r\nrdb_last_bgsave_status:ok\r\n", "role,replica,mode,cluster")
	f.Add("rdb_last_save_time:99999999999999\nmaxclients:-1\nused_memory:9223372036854775808", "role")
	f.Add("rdb_last_save_time:-99999999999999", ",,,")
	f.Add("connected_slaves:2\nslave0:ip=::1,port=1,state=online,offset=9,lag=3\nslave1:state=online,lag=99999999999999\nmin_slaves_good_slaves:1", "role")
	f.Add("master_link_status:down\nmaster_last_io_seconds_ago:-1\nmaster_link_down_since_seconds:-1\nslave0:,=,lag", "role")
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
			for name, n := range map[string]Reported[int64]{"used": h.MemoryUsed, "clients": h.Clients, "most clients": h.MaxClients, "replicas": h.Replicas} {
				if v, known := n.Get(); !known && v != 0 {
					t.Errorf("%s is unknown and %d", name, v)
				}
			}
			for name, d := range map[string]Reported[time.Duration]{"replicas": h.ReplicaLag, "primary": h.PrimaryLag} {
				if v, known := d.Get(); v < 0 || !known && v != 0 {
					t.Errorf("lag of %s: %v, known: %v", name, v, known)
				}
			}
		}
	})
}

func TestTheReplicaHeardLongestAgoCounts(t *testing.T) {
	t.Parallel()
	for info, want := range map[string]string{
		"": "unknown",
		"slave0:ip=::1,port=1,state=online,offset=9,lag=1":                                "1s",
		"slave0:state=online,lag=1\nslave1:state=online,lag=4\nslave2:state=online,lag=0": "4s",
		"slave0:state=online,lag=1\nslave1:state=wait_bgsave,offset=0,lag=9":              "1s", // it still copies
		"slave0:state=send_bulk,offset=0,lag=0":                                           "unknown",
		"slave0:state=online,lag=0,type=replica":                                          "0s", // as Valkey writes it
		"slave0:state=online,lag=-1":                                                      "unknown",
		"slave_repl_offset:14\nslave_priority:100\nslave_read_only:1\nslave:state=online": "unknown", // of a replica
	} {
		var h NodeHealth
		h.fill(nil, parseInfo(info))
		if got := h.ReplicaLag.String(); got != want {
			t.Errorf("%q: %s, want %s", info, got, want)
		}
	}
}
