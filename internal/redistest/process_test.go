package redistest

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// startsReal marks a test that starts redis-server. Call it before the test starts a
// goroutine.
func startsReal(t *testing.T) {
	t.Helper()
	t.Parallel()
	requireProgram(t, "redis-server")
}

func TestStartTakesSettings(t *testing.T) {
	startsReal(t)
	p := Start(t, "--requirepass", "opensesame", "--maxmemory", "2mb")
	withPassword := func(o *redis.Options) { o.Password = "opensesame" }
	got, err := p.Client(withPassword).ConfigGet(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"maxmemory": "2097152", "save": "", "appendonly": "no", "bind": "127.0.0.1", "dir": p.Dir(),
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if err := p.Client().Ping(t.Context()).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOAUTH") {
		t.Errorf("PING without a password: %v", err)
	}
	bySocket := p.Client(withPassword, func(o *redis.Options) { o.Network, o.Addr = "unix", p.Socket() })
	if err := bySocket.Ping(t.Context()).Err(); err != nil {
		t.Errorf("PING over the Unix socket: %v", err)
	}
}

func TestRestartKeepsTheAddressAndTheFiles(t *testing.T) {
	startsReal(t)
	p := Start(t, "--appendonly", "yes", "--appendfsync", "always")
	rdb := p.Client()
	if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	old := p.PID()
	p.Restart()
	if p.PID() == old || alive(old) {
		t.Errorf("process %d was not replaced", old)
	}
	if v, err := p.Client().Get(t.Context(), "k").Result(); v != "v" {
		t.Errorf("after Restart: %q, %v", v, err)
	}
}

func TestStopSavesAndKillDoesNot(t *testing.T) {
	startsReal(t)
	p := Start(t, "--save", "3600 1")
	ctx := t.Context()
	p.Client().Set(ctx, "stopped", "v", 0)
	p.Stop()
	p.Restart()
	p.Client().Set(ctx, "killed", "v", 0)
	p.Kill()
	if _, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial of a killed server: %v", err)
	}
	p.Restart()
	if keys := p.Client().Keys(ctx, "*").Val(); len(keys) != 1 || keys[0] != "stopped" {
		t.Errorf("keys that survived: %v", keys)
	}
}

func TestRestartNowRepliesLoadingAtFirst(t *testing.T) {
	startsReal(t)
	p := Start(t, "--save", "3600 1", "--enable-debug-command", "yes",
		"--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024")
	ctx, rdb := t.Context(), p.Client()
	if err := rdb.Do(ctx, "debug", "populate", 2000).Err(); err != nil {
		t.Fatal(err)
	}
	p.Stop()
	p.RestartNow()
	Eventually(t, func() bool {
		err := rdb.Get(ctx, "k").Err()
		return err != nil && strings.HasPrefix(err.Error(), "LOADING")
	}, "a server that reads its file replies LOADING")
	Eventually(t, func() bool { return rdb.DBSize(ctx).Val() == 2000 }, "the file is loaded")
}

func TestPauseDelaysReplies(t *testing.T) {
	startsReal(t)
	p := Start(t)
	ctx, rdb := t.Context(), p.Client()
	rdb.Set(ctx, "k", "v", 0)
	p.Pause()
	short, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
	defer cancel()
	if err := rdb.Get(short, "k").Err(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("GET while paused: %v", err)
	}
	p.Resume()
	if v, err := rdb.Get(ctx, "k").Result(); v != "v" {
		t.Errorf("GET after Resume: %q, %v", v, err)
	}
	p.Pause() // cleanup must also end a paused server
}

func TestStartLaterRefusesConnectionsBeforeLaunch(t *testing.T) {
	startsReal(t)
	p := StartLater(t)
	if _, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("dial before Launch: %v", err)
	}
	p.Launch()
	if err := p.Client().Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
}

func TestStartReportsABadSetting(t *testing.T) {
	startsReal(t)
	if _, err := launch("--no-such-setting", "x"); err == nil || !strings.Contains(err.Error(), "no-such-setting") {
		t.Errorf("error %v", err)
	}
}

func TestStartTriesAnotherPortIfItsOwnIsTaken(t *testing.T) {
	startsReal(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	first := true
	p, err := launchOn(onLoopback(), func() (int, error) {
		if first {
			first = false
			return l.Addr().(*net.TCPAddr).Port, nil
		}
		return freePort()
	}, settings(nil))
	if err != nil {
		t.Fatal(err)
	}
	p.endWith(t)
	if err := p.Client().Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
}

func TestServersEndWithTheTestThatStartedThem(t *testing.T) {
	startsReal(t)
	var p *Process
	t.Run("group", func(t *testing.T) {
		p = Start(t)
		p.Pause()
	})
	if alive(p.PID()) {
		t.Errorf("process %d still runs after its test", p.PID())
	}
	if _, err := os.Stat(p.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its directory is still there: %v", err)
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }
