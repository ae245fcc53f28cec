package redistest

import "testing"

// A Cap is a capability that redis-server has and miniredis does not.
type Cap struct {
	name  string
	probe []any // a harmless command that only a server with the capability accepts
}

// The capabilities that Needs and Can know. Eviction, output-buffer limits, replication and
// persistence need a server of the test's own: see Start.
var (
	ACL           = Cap{"ACL", []any{"acl", "whoami"}}
	ClientID      = Cap{"CLIENT ID", []any{"client", "id"}}
	ClientKill    = Cap{"CLIENT KILL", []any{"client", "kill", "id", "999999999999"}}
	ClientList    = Cap{"CLIENT LIST", []any{"client", "list", "id", "999999999999"}}
	Config        = Cap{"CONFIG", []any{"config", "get", "maxmemory"}}
	FullInfo      = Cap{"INFO memory", []any{"info", "memory"}}
	ShardedPubSub = Cap{"SPUBLISH", []any{"spublish", "nobody", ""}}
	Tracking      = Cap{"CLIENT TRACKING", []any{"client", "tracking", "off"}}
)

// Needs skips the test if the server lacks any of caps.
func (s *Server) Needs(t testing.TB, caps ...Cap) {
	t.Helper()
	for _, c := range caps {
		if !s.Can(c) {
			t.Skipf("%s has no %s", s.name, c.name)
		}
	}
}

// Can reports whether the server has the capability.
func (s *Server) Can(Cap) bool { return s.Real() }
