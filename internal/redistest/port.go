package redistest

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// busOffset is how far a Cluster node's bus port lies above its port.
const busOffset = 10000

var givenPorts = struct {
	sync.Mutex
	set map[int]bool
}{set: map[int]bool{}}

// freePort picks a port that nobody listens on, nor on its bus port, and that
// this binary has not picked before. It stays below the range that systems
// hand to outgoing connections: one of those could take the port between two
// lives of a server, or connect to itself while nobody listens.
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
