package rediskit_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/secrets"
)

// secretFile is a secret that a test rewrites in place, as a mounted file is rewritten.
type secretFile struct {
	t    *testing.T
	path string
}

func newSecretFile(t *testing.T, content string) secretFile {
	f := secretFile{t, filepath.Join(t.TempDir(), "redis_password")}
	f.write(content)
	return f
}

func (f secretFile) write(content string) {
	f.t.Helper()
	if err := os.WriteFile(f.path, []byte(content), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func TestAPasswordIsRotatedWithoutAFailedCall(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	admin := server.Client()
	mustDo(t, admin, "acl", "setuser", "app", "on", ">old-password", "~*", "&*", "+@all")
	file := newSecretFile(t, "old-password\n")
	var log errorLog
	rdb := connect(t, rediskit.Config{
		Addrs: []string{server.Addr()}, Username: "app", Password: secrets.File(file.path), OnError: log.onError,
	})

	stop := make(chan struct{})
	var callers sync.WaitGroup
	var calls [8]atomic.Int64
	for i := range calls {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := rdb.Incr(t.Context(), "calls").Err(); err != nil {
					t.Errorf("a call failed: %v", err)
				}
				calls[i].Add(1)
			}
		})
	}
	// cut ends every connection and waits until the calls of each caller succeed again.
	cut := func() {
		mustDo(t, admin, "client", "kill", "user", "app")
		for i := range calls {
			before := calls[i].Load()
			redistest.Eventually(t, func() bool { return calls[i].Load() >= before+2 }, "calls go on")
		}
	}
	mustDo(t, admin, "acl", "setuser", "app", ">new-password")
	cut()
	file.write("") // as an editor or a sync tool leaves it for a moment
	cut()
	if err := os.Remove(file.path); err != nil {
		t.Fatal(err)
	}
	cut()
	file.write("new-password\n")
	cut()
	mustDo(t, admin, "acl", "setuser", "app", "<old-password")
	cut()
	close(stop)
	callers.Wait()

	said := ""
	for _, err := range log.all() {
		said += err.Error() + "\n"
	}
	if !strings.Contains(said, "is empty") || !strings.Contains(said, "does not exist") || strings.Contains(said, "-password") {
		t.Errorf("OnError received:\n%s", said)
	}
	if n := len(log.all()); n > 4 {
		t.Errorf("OnError received %d times for two causes", n)
	}
}

func TestACancelledCallerIsNotReportedAsAPasswordError(t *testing.T) {
	t.Parallel()
	var log errorLog
	var provide func(context.Context) (string, string, error)
	cfg := at(redistest.Mini(t).Addr())
	cfg.Password = secrets.File(newSecretFile(t, canary).path)
	cfg.Username = "app"
	cfg.OnError = log.onError
	cfg.Tune = func(o *redis.UniversalOptions) {
		provide, o.CredentialsProviderContext = o.CredentialsProviderContext, nil
	}
	connect(t, cfg)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, password, err := provide(cancelled); password != canary || err != nil || len(log.all()) != 0 {
		t.Errorf("%v, and OnError received %v", err, log.all())
	}
}

func TestAnEmptySourceKeepsTheLastGoodPassword(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--requirepass", "password")
	file := newSecretFile(t, "password")
	var log errorLog
	rdb := connect(t, rediskit.Config{
		Addrs:    []string{server.Addr()},
		Password: secrets.FirstOf(secrets.File(file.path), secrets.None()),
		OnError:  log.onError,
	})
	if err := os.Remove(file.path); err != nil {
		t.Fatal(err)
	}
	admin := server.Client(func(o *redis.Options) { o.Password = "password" })
	mustDo(t, admin, "client", "kill", "type", "normal", "skipme", "yes")
	if err := rdb.Ping(t.Context()).Err(); err != nil {
		t.Errorf("a new connection without the password: %v", err)
	}
	if len(log.all()) != 1 {
		t.Errorf("OnError received %v", log.all())
	}
}

func TestTheDefaultPasswordIsTheDockerSecretIfItExists(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/run/secrets/redis_password"); err == nil {
		t.Skip("this machine has the Docker secret redis_password")
	}
	server := redistest.Start(t)
	connect(t, rediskit.Config{Addrs: []string{server.Addr()}})
}
