package redistest

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// busOffset is how much higher the bus port of a Cluster node is than its port.
const busOffset = 10000

// heldPorts holds the UDP port of each number that freePort has given away, until the
// binary ends. Servers use TCP alone.
var heldPorts struct {
	sync.Mutex
	all []net.PacketConn
}

// freePort returns a port that no test binary has, where no program listens on it or on its
// bus port. Both are the binary's own until that ends: another one, which runs at the same
// time, neither takes nor tries them while their server is down. They are below the range
// that systems use for outgoing connections: such a connection could take the port while a
// server restarts, or connect to itself while no server listens.
func freePort() (int, error) {
	for range 1000 {
		if port := 10000 + rand.IntN(busOffset); hold(port, port+busOffset) {
			return port, nil
		}
	}
	return 0, errors.New("found no free loopback port")
}

// hold makes free ports this binary's own. It returns false if one is in use. A port that
// another binary holds is not even tried with TCP: for that moment it would not refuse.
func hold(ports ...int) bool {
	var held []net.PacketConn
	for _, port := range ports {
		conn, err := net.ListenPacket("udp", loopback(port))
		if err == nil {
			held = append(held, conn)
		}
		if err != nil || !isFree(port) {
			for _, conn := range held {
				conn.Close()
			}
			return false
		}
	}
	heldPorts.Lock()
	defer heldPorts.Unlock()
	heldPorts.all = append(heldPorts.all, held...)
	return true
}

func isFree(port int) bool {
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
