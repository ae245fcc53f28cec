package netlab

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// Forget drops the packets of all connections that exist now between a and each of others,
// in both directions, as a NAT that has lost its table does. New connections work. Neither
// end is told. heal ends it.
func (l *Lab) Forget(a *Host, others ...*Host) (heal func()) {
	l.t.Helper()
	var rules []string
	for _, b := range others {
		from, to := a, b
		if from.namespace == nil {
			from, to = b, a
		}
		connections, err := from.connectionsTo(to)
		if err != nil {
			l.t.Fatalf("list the connections of a host: %v", err)
		}
		for _, c := range connections {
			rules = append(rules, packets(c.near, c.far), packets(c.far, c.near))
		}
	}
	return l.add(rules)
}

// packets returns the rule for what one end of a connection sends.
func packets(from, to netip.AddrPort) string {
	return fmt.Sprintf("-p tcp -s %s --sport %d -d %s --dport %d", from.Addr(), from.Port(), to.Addr(), to.Port())
}

// A connection is known by its two ends.
type connection struct{ near, far netip.AddrPort }

// connectionsTo returns the connections of h with peer. The kernel lists them even if the
// server is stopped.
func (h *Host) connectionsTo(peer *Host) ([]connection, error) {
	table, err := h.namespace.output("cat", "/proc/net/tcp")
	if err != nil {
		return nil, err
	}
	return parseTable(table, peer, "")
}

// Open returns the other ends of the connections of h, which is Here or a Client, that are
// established as far as this process knows. Those ends may know of less, or of more.
func (h *Host) Open() ([]string, error) {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return nil, err
	}
	all, err := parseTable(string(table), nil, established)
	if err != nil {
		return nil, err
	}
	var open []string
	for _, c := range all {
		if c.near.Addr().String() == h.ip {
			open = append(open, c.far.String())
		}
	}
	return open, nil
}

// established is a state in the kernel's table of connections.
const established = "01"

// parseTable returns the connections in a table of the kernel: with peer, or all if it is
// nil, and in state, or in any if it is "".
func parseTable(table string, peer *Host, state string) ([]connection, error) {
	var found []connection
	for line := range strings.Lines(table) {
		fields := strings.Fields(line) // number, local, remote, state
		if len(fields) < 4 || fields[0] == "sl" || state != "" && fields[3] != state {
			continue
		}
		near, err := parseEnd(fields[1])
		if err != nil {
			return nil, err
		}
		far, err := parseEnd(fields[2])
		if err != nil {
			return nil, err
		}
		if peer == nil || far.Addr().String() == peer.ip {
			found = append(found, connection{near, far})
		}
	}
	return found, nil
}

// parseEnd reads an address as the kernel prints it: the number that the four bytes are in
// the machine's order, then the port, both in hexadecimal.
func parseEnd(text string) (netip.AddrPort, error) {
	b, err := hex.DecodeString(strings.Replace(text, ":", "", 1))
	if err != nil || len(b) != 6 {
		return netip.AddrPort{}, fmt.Errorf("the kernel's table of connections has the address %q", text)
	}
	var ip [4]byte
	binary.NativeEndian.PutUint32(ip[:], binary.BigEndian.Uint32(b))
	return netip.AddrPortFrom(netip.AddrFrom4(ip), binary.BigEndian.Uint16(b[4:])), nil
}
