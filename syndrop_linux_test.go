package rediskit_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/convkit/rediskit"
)

// dropSYNs listens on an address whose queue is full. The kernel then drops every
// further attempt to connect, as a firewall does.
func dropSYNs(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := errors.Join(
		syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}),
		syscall.Listen(fd, 0),
	); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*syscall.SockaddrInet4).Port))
	for range 16 {
		conn, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	t.Skip("this kernel does not drop connections to a full queue")
	return ""
}

func TestADialWithoutAnswerEndsByDialTimeoutAndByContext(t *testing.T) {
	t.Parallel()
	cfg := at(dropSYNs(t))
	var log errorLog
	ctx, cancel := context.WithCancel(t.Context())
	cfg.OnError = func(ctx context.Context, err error) { log.onError(ctx, err); cancel() }
	_, err := rediskit.Connect(ctx, cfg)
	var op *net.OpError
	if !errors.Is(err, context.Canceled) || !errors.As(err, &op) || op.Op != "dial" || !op.Timeout() {
		t.Errorf("the first dial must end by DialTimeout: %v", err)
	}

	cfg.DialTimeout = time.Hour
	cfg.OnError = nil
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := rediskit.Connect(ctx, cfg); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	} // goleak checks that the dial with a time-out of an hour has ended
}
