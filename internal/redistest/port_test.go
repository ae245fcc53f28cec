package redistest

import (
	"net"
	"sync"
	"testing"
)

// While a server is down, a test binary that runs at the same time must not take its port.
func TestAPortIsTheBinarysOwnUntilItEnds(t *testing.T) {
	t.Parallel()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range []int{port, port + busOffset} {
		if conn, err := net.ListenPacket("udp", loopback(port)); err == nil {
			conn.Close()
			t.Errorf("another binary may take port %d", port)
		}
	}
}

// A search for a free port listens on it for a moment. A client of a server that is down
// would get a connection then.
func TestAPortThatIsHeldIsNotTried(t *testing.T) {
	t.Parallel()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var searches sync.WaitGroup
	for range 4 {
		searches.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					hold(port, port+busOffset)
				}
			}
		})
	}
	for range 2000 {
		if conn, err := net.Dial("tcp", loopback(port)); err == nil {
			conn.Close()
			t.Error("the port accepted a connection")
			break
		}
	}
	close(stop)
	searches.Wait()
}
