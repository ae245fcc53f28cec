package redistest

import (
	"runtime"
	"testing"
)

// A Place is where a server runs. The zero value is loopback of this machine, where every
// server has a port of its own. Package netlab makes others, each for one server.
type Place struct {
	// IP is the address on which the server listens. Its port there is PlacePort.
	IP string
	// Enter is a command that runs in that place the command that follows it, as the
	// same process.
	Enter []string

	clock string // the library that gives the server a clock of its own, "" for none
}

// PlacePort is the port of a server on a Place of its own, and of a Sentinel.
const PlacePort = 6379

// StartAt is Start for a server at place. In args {host} stands for its address.
func StartAt(t testing.TB, place Place, args ...string) *Process {
	t.Helper()
	requireProgram(t, "redis-server")
	p, err := launchOn(place, place.port, settings(args))
	if err != nil {
		t.Fatal(err)
	}
	p.endWith(t)
	return p
}

// PlaceWithClock is loopback for a server whose clock StepClock can set. It needs what
// StartWithClock needs. Functions that start several servers take it as their place.
func PlaceWithClock(t testing.TB) Place {
	t.Helper()
	requireProgram(t, "redis-server")
	if runtime.GOOS != "linux" {
		t.Skip("a redis-server whose clock can be set needs Linux")
	}
	requireProgram(t, "cc")
	library, err := clockLibrary()
	if err != nil {
		t.Fatal(err)
	}
	return Place{clock: library}
}

// onLoopback is where servers run unless the test says otherwise.
func onLoopback() Place { return Place{} }

func (l Place) isLoopback() bool { return l.IP == "" }

func (l Place) host() string {
	if l.isLoopback() {
		return "127.0.0.1"
	}
	return l.IP
}

// port returns a port for a server at l.
func (l Place) port() (int, error) {
	if l.isLoopback() {
		return freePort()
	}
	return PlacePort, nil
}
