package chaos

import (
	"context"
	"fmt"
	"time"
)

// auditConnections looks for connections that are still open on the server. In a lab the
// server may not know that a connection has ended.
func (rd *round) auditConnections() {
	if rd.topology.lab != nil {
		for _, m := range rd.members {
			rd.auditClient(m)
		}
		return
	}
	if !rd.topology.single() {
		return // several servers, and Sentinels, have connections to each other
	}
	rd.checked(noGrowth, 1)
	rdb := rd.topology.primaries()[0]
	defer rdb.Close()
	var open int
	for range 200 { // the server notices a closed connection a little later
		if _, err := fmt.Sscanf(rdb.Info(context.Background(), "clients").Val(), "# Clients\r\nconnected_clients:%d", &open); err != nil {
			rd.t.Errorf("count the connections: %v", err)
		}
		if open == 1 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	rd.violated(noGrowth, "%d connections are open on the server besides the one that asks", open-1)
}

// auditClient looks for connections of m that are still open.
func (rd *round) auditClient(m *member) {
	rd.checked(noGrowth, 1)
	var open []string
	for range 200 { // a goroutine that has ended may close one a little later
		var err error
		if open, err = m.host.Open(); err != nil {
			rd.t.Errorf("count the connections: %v", err)
		}
		if len(open) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	rd.violated(noGrowth, "%s has connections to %v open", m.name, open)
}

// auditGrants looks for commands that an access rule has denied.
func (rd *round) auditGrants() {
	if !rd.topology.single() {
		return // these servers have no access rules
	}
	rd.checked(grants, 1)
	rdb := rd.topology.primaries()[0]
	defer rdb.Close()
	log, err := rdb.ACLLog(context.Background(), 100).Result()
	if err != nil {
		rd.t.Errorf("audit the grants: %v", err)
	}
	for _, entry := range log {
		if entry.Reason != "auth" { // which a rotation of the password causes
			rd.violated(grants, "denied %d times: %s %s (%s)", entry.Count, entry.Reason, entry.Object, entry.Context)
		}
	}
}

// auditKeys checks that every key has a TTL.
func (rd *round) auditKeys() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, primary := range rd.topology.primaries() {
		for it := primary.Scan(ctx, 0, "*", 1000).Iterator(); ; {
			if !it.Next(ctx) {
				if err := it.Err(); err != nil {
					rd.t.Errorf("audit the keys: %v", err)
				}
				break
			}
			ttl, err := primary.PTTL(ctx, it.Val()).Result()
			if err != nil {
				rd.t.Errorf("audit the keys: %v", err)
			}
			rd.checked(everyTTL, 1)
			if ttl == -1 {
				rd.violated(everyTTL, "a key like %.40q has none", it.Val())
			}
		}
		primary.Close()
	}
}
