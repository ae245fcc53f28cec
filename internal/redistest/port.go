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

// givenPorts holds the UDP port of each number that freePort has returned, until the
// binary ends. Servers use TCP alone.
var givenPorts struct {
	sync.Mutex
	held []net.PacketConn
}

// freePort returns a port that no test binary has, where no program listens on it or on its
// bus port. It is the binary's own until that ends: another one, which runs at the same
// time, does not take it while its server is down. It is below the range that systems use
// for outgoing connections: such a connection could take the port while a server restarts,
// or connect to itself while no server listens.
func freePort() (int, error) {
	givenPorts.Lock()
	defer givenPorts.Unlock()
	for range 1000 {
		port := 10000 + rand.IntN(12000)
		if !isFree(port) || !isFree(port+busOffset) {
			continue
		}
		if hold, err := net.ListenPacket("udp", loopback(port)); err == nil {
			givenPorts.held = append(givenPorts.held, hold)
			return port, nil
		}
	}
	return 0, errors.New("found no free loopback port")
}

func isFree(port int) bool {
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
