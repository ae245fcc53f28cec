package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// A server is a redis-server that belongs to this run. It listens on a free port of
// loopback, and saves nothing.
type server struct {
	addr string
	cmd  *exec.Cmd
}

// startServer returns once the server answers.
func startServer(ctx context.Context) (*server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := listener.Addr().String()
	listener.Close()
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.CommandContext(ctx, "redis-server", "--port", port, "--bind", "127.0.0.1",
		"--save", "", "--appendonly", "no", "--maxclients", "10000")
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("redis-server: %w", err)
	}
	s := &server{addr, cmd}
	rdb := redis.NewClient(&redis.Options{Addr: addr, Protocol: 2})
	defer rdb.Close()
	for range 1000 {
		var pid float64
		if pid, err = item(ctx, rdb, "server", "process_id"); err == nil {
			if int(pid) == cmd.Process.Pid {
				return s, nil
			}
			err = errors.New("another server took its port") // which must not be flushed
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.end()
	return nil, fmt.Errorf("redis-server does not answer: %w", err)
}

func (s *server) end() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // "signal: killed"
}

// item returns one number from INFO.
func item(ctx context.Context, rdb *redis.Client, section, name string) (float64, error) {
	info, err := rdb.InfoMap(ctx, section).Result()
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(info[strings.ToUpper(section[:1])+section[1:]][name]), 64)
}
