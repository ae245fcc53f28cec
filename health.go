package rediskit

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redact"
	"github.com/convkit/rediskit/internal/refusal"
	"github.com/convkit/rediskit/internal/report"
	"github.com/convkit/rediskit/internal/sender"
)

// Health is what the nodes report about themselves: the one server, the primary that
// Sentinels name, or every primary and replica of a Cluster, sorted by Addr.
type Health struct {
	Nodes []NodeHealth `json:"nodes"`
}

// NodeHealth is what one node reports about itself.
type NodeHealth struct {
	// Addr is host:port, the path of a socket, or "FailoverClient" behind Sentinels.
	Addr string `json:"addr"`
	// Latency is how long the PING took.
	Latency time.Duration `json:"latency_ns"`

	Role    Reported[string] `json:"role"`    // "master", as Redis calls a primary, or "replica"
	Mode    Reported[string] `json:"mode"`    // "standalone" or "cluster"
	Version Reported[string] `json:"version"` // "7.0.15"

	MemoryUsed     Reported[int64]  `json:"memory_used_bytes"` // bytes
	MemoryMax      Reported[int64]  `json:"memory_max_bytes"`  // bytes; 0 is no limit
	EvictionPolicy Reported[string] `json:"eviction_policy"`   // "noeviction", "allkeys-lru", …

	Clients    Reported[int64] `json:"clients"` // connections now, including those of this client
	MaxClients Reported[int64] `json:"max_clients"`

	LastSave   Reported[time.Time] `json:"last_save"`    // the last successful snapshot, or the start of the server
	LastSaveOK Reported[bool]      `json:"last_save_ok"` // whether the last attempt at one succeeded

	Replicas Reported[int64] `json:"replicas"` // connected to this node, also those that still copy all data
	// ReplicaLag is how long ago the replica was heard that has been silent longest, in
	// whole seconds. A replica reports every second. Unknown without a replica that
	// follows.
	ReplicaLag Reported[time.Duration] `json:"replica_lag_ns"`
	// MinReplicas is how many replicas this node needs to accept a write, its
	// min-replicas-to-write. It is 0 if min-replicas-max-lag is 0, which switches that
	// off. If it is not 0, it is known only to a user with +eval and +config|get.
	MinReplicas Reported[int64] `json:"min_replicas"`
	// GoodReplicas is how many replicas count for MinReplicas now: fewer, and the node
	// refuses writes with NOREPLICAS. Unknown if MinReplicas is 0.
	GoodReplicas Reported[int64] `json:"good_replicas"`

	// PrimaryUp is whether a replica is connected to its primary. Unknown for a primary.
	PrimaryUp Reported[bool] `json:"primary_up"`
	// PrimaryLag is how long ago a replica last heard its primary, or lost it, in whole
	// seconds. A primary without writes is heard every 10 s (repl-ping-replica-period).
	// Unknown for a primary, and for a replica that never reached its own.
	PrimaryLag Reported[time.Duration] `json:"primary_lag_ns"`
}

// Reported is a value that a server may report or not: an older server, a substitute in
// tests, or an ACL that forbids it may leave it out. It prints as its value or as
// "unknown", and marshals to JSON as its value or as null. The zero Reported is unknown.
type Reported[T any] struct {
	value T
	known bool
}

// Get returns the value, and whether the server reported it.
func (r Reported[T]) Get() (T, bool) { return r.value, r.known }

// String returns the value as text, or "unknown".
func (r Reported[T]) String() string {
	if !r.known {
		return "unknown"
	}
	return fmt.Sprint(r.value)
}

// MarshalJSON implements [json.Marshaler].
func (r Reported[T]) MarshalJSON() ([]byte, error) {
	if !r.known {
		return []byte("null"), nil
	}
	return json.Marshal(r.value)
}

// Check asks every node for its health: PING, then INFO and HELLO in one pipeline. That
// is two round trips per node; the nodes of a Cluster are asked side by side. A node with
// min-replicas-to-write is asked for the number in up to two more: a script (EVAL) says
// whether the user may send CONFIG GET, which is sent only then. So no CONFIG GET is
// denied, which the server would log and count at each Check.
//
// A node that answers is in Health, also if it refuses the PING. What it does not report
// after that is unknown, and no error. The error is about the nodes that do not answer,
// and about those that cannot serve this client: LOADING, MASTERDOWN, a missing
// permission. A node that refuses only writes, such as with MISCONF, is no error. Health
// has the others all the same. With a client made by [Connect] whose breaker is open, Check
// fails at once with [ErrUnavailable], and with [ErrOverloaded] while Config.MaxWaiting
// other calls are under way.
//
// The user needs +ping, and +info for all but the role, the mode and the version. Where
// min-replicas-to-write is set it also needs +eval, and +config|get if it shall know the
// number. +config|get shows all settings, the password in masterauth too.
func Check(ctx context.Context, rdb redis.UniversalClient) (Health, error) {
	if err := report.Client("rediskit: check", rdb); err != nil {
		return Health{}, err
	}
	var (
		mu     sync.Mutex
		health Health
	)
	errs, err := visit(sender.Nodes(ctx, rdb), func(node redis.UniversalClient) error {
		h, answered, err := checkNode(ctx, node)
		if answered {
			mu.Lock()
			health.Nodes = append(health.Nodes, h)
			mu.Unlock()
		}
		if err != nil {
			return fmt.Errorf("rediskit: check: %s: %w", address(node), redact.Clean(err))
		}
		return nil
	})
	if err != nil {
		errs = append(errs, fmt.Errorf("rediskit: check: asking for the Cluster's nodes: %w", redact.Clean(err)))
	}
	slices.SortFunc(health.Nodes, func(a, b NodeHealth) int { return cmp.Compare(a.Addr, b.Addr) })
	return health, errors.Join(errs...)
}

// address returns the address of a single server, or "" if its client does not say.
func address(node redis.UniversalClient) string {
	if client, ok := node.(*redis.Client); ok {
		return client.Options().Addr
	}
	return ""
}

// checkNode returns what node reports. A node may refuse the PING and still report.
func checkNode(ctx context.Context, node redis.UniversalClient) (h NodeHealth, answered bool, err error) {
	start := time.Now()
	pinged := ping(ctx, node)
	if _, refused := refusal.Of(pinged); pinged != nil && !refused {
		return h, false, pinged
	}
	h = NodeHealth{Addr: address(node), Latency: time.Since(start)}

	info, hello := redis.NewStringCmd(ctx, "info"), newHello(ctx)
	// INFO is first: the breaker takes a pipeline that begins with HELLO for a
	// handshake, and never sends a handshake again.
	sender.Send(ctx, node, sender.Repeatable, info, hello)
	if err := cmp.Or(info.Err(), hello.Err()); err != nil && !isReply(err) {
		return h, false, err
	}
	h.fill(parseHello(hello), parseInfo(info.Val()))
	if h.GoodReplicas.known {
		h.MinReplicas = askMinReplicas(ctx, node)
	}
	return h, true, pinged
}

//go:embed may_ask.lua
var mayAsk string

// askMinReplicas returns min-replicas-to-write, which INFO does not tell, if the user may
// know it.
func askMinReplicas(ctx context.Context, node redis.UniversalClient) Reported[int64] {
	const setting = "min-replicas-to-write"
	may := redis.NewIntCmd(ctx, "eval", mayAsk, 0)
	if sender.Send(ctx, node, sender.Repeatable, may); may.Val() != 1 {
		return Reported[int64]{}
	}
	settings := redis.NewMapStringStringCmd(ctx, "config", "get", setting)
	sender.Send(ctx, node, sender.Repeatable, settings)
	return number(settings.Val()[setting])
}

func (h *NodeHealth) fill(hello, info map[string]string) {
	h.Role = text(cmp.Or(hello["role"], strings.Replace(info["role"], "slave", "replica", 1)))
	h.Mode = text(cmp.Or(hello["mode"], info["redis_mode"]))
	h.Version = text(cmp.Or(hello["version"], info["redis_version"]))
	h.MemoryUsed = number(info["used_memory"])
	h.MemoryMax = number(info["maxmemory"])
	h.EvictionPolicy = text(info["maxmemory_policy"])
	h.Clients = number(info["connected_clients"])
	h.MaxClients = number(info["maxclients"])
	if sec, ok := number(info["rdb_last_save_time"]).Get(); ok {
		if at := time.Unix(sec, 0); at.Year() >= 0 && at.Year() <= 9999 { // JSON has no others
			h.LastSave = Reported[time.Time]{at, true}
		}
	}
	if status, ok := info["rdb_last_bgsave_status"]; ok {
		h.LastSaveOK = Reported[bool]{status == "ok", true}
	}
	h.fillReplication(info)
}

func (h *NodeHealth) fillReplication(info map[string]string) {
	h.Replicas = number(info["connected_slaves"])
	for n := 0; ; n++ { // slave0:ip=10.0.0.2,port=6379,state=online,offset=14,lag=1
		replica, ok := info["slave"+strconv.Itoa(n)]
		if !ok {
			break
		}
		fields := map[string]string{}
		for field := range strings.SplitSeq(replica, ",") {
			key, value, _ := strings.Cut(field, "=")
			fields[key] = value
		}
		lag := seconds(fields["lag"])
		if fields["state"] == "online" && lag.known && lag.value >= h.ReplicaLag.value {
			h.ReplicaLag = lag
		}
	}
	// Redis tells the good replicas exactly if it counts them before each write.
	h.GoodReplicas = number(info["min_slaves_good_slaves"])
	if h.Replicas.known && !h.GoodReplicas.known {
		h.MinReplicas = Reported[int64]{0, true}
	}
	if status, ok := info["master_link_status"]; ok {
		h.PrimaryUp = Reported[bool]{status == "up", true}
		h.PrimaryLag = seconds(cmp.Or(info["master_link_down_since_seconds"], info["master_last_io_seconds_ago"]))
	}
}

func text(s string) Reported[string] { return Reported[string]{s, s != ""} }

func number(s string) Reported[int64] {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return Reported[int64]{}
	}
	return Reported[int64]{n, true}
}

// seconds reads whole seconds. Redis writes -1 for a time that it does not know.
func seconds(s string) Reported[time.Duration] {
	n, err := strconv.ParseInt(s, 10, 32) // no Duration overflows
	if err != nil || n < 0 {
		return Reported[time.Duration]{}
	}
	return Reported[time.Duration]{time.Duration(n) * time.Second, true}
}

// newHello returns HELLO without arguments: it changes nothing, and -@dangerous allows it.
func newHello(ctx context.Context) *redis.Cmd { return redis.NewCmd(ctx, "hello") }

// parseHello reads RESP2's flat list or RESP3's map.
func parseHello(cmd *redis.Cmd) map[string]string {
	fields := map[string]string{}
	keep := func(key, value any) {
		if key, ok := key.(string); ok {
			if value, ok := value.(string); ok {
				fields[key] = value
			}
		}
	}
	switch reply := cmd.Val().(type) {
	case []any:
		for pair := range slices.Chunk(reply, 2) {
			keep(pair[0], pair[len(pair)-1])
		}
	case map[any]any:
		for key, value := range reply {
			keep(key, value)
		}
	}
	return fields
}

func parseInfo(info string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(info) {
		if key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			fields[key] = value
		}
	}
	return fields
}
