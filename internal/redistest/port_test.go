package redistest

import (
	"net"
	"testing"
)

// While a server is down, a test binary that runs at the same time must not take its port.
func TestAPortIsTheBinarysOwnUntilItEnds(t *testing.T) {
	t.Parallel()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	if hold, err := net.ListenPacket("udp", loopback(port)); err == nil {
		hold.Close()
		t.Errorf("another binary may take port %d", port)
	}
}
