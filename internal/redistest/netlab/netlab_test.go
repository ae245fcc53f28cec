package netlab

import (
	"net"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

func TestACutIsACut(t *testing.T) {
	t.Parallel()
	lab := New(t)
	p := lab.Start()
	if err := dial(p); err != nil {
		t.Fatal(err)
	}
	heal := lab.Vanish(lab.Host(p))
	if err, ok := dial(p).(net.Error); !ok || !err.Timeout() {
		t.Errorf("dialled a server that is cut off: %v", err)
	}
	heal()
	if err := dial(p); err != nil {
		t.Error(err)
	}
}

func dial(p *redistest.Process) error {
	conn, err := net.DialTimeout("tcp", p.Addr(), 300*time.Millisecond)
	if err == nil {
		conn.Close()
	}
	return err
}
