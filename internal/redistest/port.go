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

var givenPorts = struct {
	sync.Mutex
	set map[int]bool
}{set: map[int]bool{}}

// freePort returns a port that this binary has not used before, where no program listens
// on it or on its bus port. It is below the range that systems use for outgoing
// connections: such a connection could take the port while a server restarts, or connect
// to itself while no server listens.
func freePort() (int, error) {
	givenPorts.Lock()
	defer givenPorts.Unlock()
	for range 1000 {
		port := 10000 + rand.IntN(12000)
		if !givenPorts.set[port] && isFree(port) && isFree(port+busOffset) {
			givenPorts.set[port] = true
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
