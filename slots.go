package rediskit

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redact"
)

// slotsHook reads the map of a Cluster in place of go-redis: it sends CLUSTER SLOTS and
// fills in the command with what the node answered. One is on each node.
//
// The reason are nodes without a host. A Cluster that tells none (its setting
// cluster-preferred-endpoint-type is unknown-endpoint), or a node that does not know its
// own address, means the host that was asked. go-redis takes that part of the reply for
// redis.Nil, or for this machine.
type slotsHook struct {
	node  string                  // host:port
	asked *atomic.Pointer[string] // of the Cluster: the host that sent the last map
}

// readSlots makes cluster read its map through slotsHooks.
func readSlots(cluster *redis.ClusterClient) {
	asked := new(atomic.Pointer[string])
	cluster.OnNewNode(func(node *redis.Client) { node.AddHook(slotsHook{node.Options().Addr, asked}) })
}

func (h slotsHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		slots, ok := cmd.(*redis.ClusterSlotsCmd)
		if !ok {
			return next(ctx, cmd)
		}
		raw := redis.NewSliceCmd(ctx, slots.Args()...)
		err := next(ctx, raw)
		if err != nil {
			return err
		}
		host := h.host(h.node)
		found, err := parseSlots(raw.Val(), host)
		if err == nil {
			slots.SetVal(found)
			h.asked.Store(&host)
		}
		return err
	}
}

// DialHook completes the address of a node that go-redis knows from a redirection alone,
// such as MOVED 1 :6379.
func (h slotsHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if host, port, err := net.SplitHostPort(addr); err == nil && !named(host) {
			addr = net.JoinHostPort(h.host(addr), port)
		}
		return next(ctx, network, addr)
	}
}

func (slotsHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// host returns the host of addr, or the one that sent the last map if addr has none.
func (h slotsHook) host(addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	if last := h.asked.Load(); !named(host) && last != nil {
		return *last
	}
	return host
}

// named reports whether host is one. Redis writes "?" for a node without a host name in
// a Cluster that prefers host names.
func named(host string) bool { return host != "" && host != "?" }

var errNoSlots = redact.New("the reply to CLUSTER SLOTS is none: what answers there is not a Cluster of Redis")

// parseSlots reads the reply to CLUSTER SLOTS. A node without a host has the host asked.
func parseSlots(reply []any, asked string) ([]redis.ClusterSlot, error) {
	slots := make([]redis.ClusterSlot, 0, len(reply))
	for _, each := range reply {
		parts, _ := each.([]any)
		if len(parts) < 2 {
			return nil, errNoSlots
		}
		from, ok1 := parts[0].(int64)
		to, ok2 := parts[1].(int64)
		if !ok1 || !ok2 {
			return nil, errNoSlots
		}
		slot := redis.ClusterSlot{Start: int(from), End: int(to)}
		for _, each := range parts[2:] {
			node, err := parseNode(each, asked)
			if err != nil {
				return nil, err
			}
			slot.Nodes = append(slot.Nodes, node)
		}
		slots = append(slots, slot)
	}
	return slots, nil
}

// parseNode reads host, port, and perhaps an id and further names of the node.
func parseNode(reply any, asked string) (redis.ClusterNode, error) {
	parts, _ := reply.([]any)
	if len(parts) < 2 {
		return redis.ClusterNode{}, errNoSlots
	}
	var node redis.ClusterNode
	if len(parts) > 2 {
		node.ID, _ = parts[2].(string)
	}
	if len(parts) > 3 {
		node.NetworkingMetadata = texts(parts[3])
	}
	host, _ := parts[0].(string) // nil means the host that was asked
	if ip := node.NetworkingMetadata["ip"]; host == "?" && ip != "" {
		host = ip
	}
	if !named(host) {
		host = asked
	}
	node.Addr = net.JoinHostPort(host, fmt.Sprint(parts[1]))
	return node, nil
}

// texts returns a map of texts, which RESP2 sends as a list of names and values.
func texts(reply any) map[string]string {
	found := map[string]string{}
	switch reply := reply.(type) {
	case []any:
		for i := 0; i+1 < len(reply); i += 2 {
			found[fmt.Sprint(reply[i])] = fmt.Sprint(reply[i+1])
		}
	case map[any]any:
		for name, value := range reply {
			found[fmt.Sprint(name)] = fmt.Sprint(value)
		}
	}
	return found
}
