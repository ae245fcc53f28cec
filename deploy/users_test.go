package deploy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
)

// uses are what services do with each instance. Together they use everything that the
// library has.
var uses = map[string]func(testing.TB, redis.UniversalClient){
	"cache":  useCache,
	"state":  useState,
	"single": func(t testing.TB, rdb redis.UniversalClient) { useCache(t, rdb); useState(t, rdb) },
}

// A service gets no error, and the server denies it nothing.
func TestTheApplicationsMayDoEverythingThatTheLibraryDoes(t *testing.T) {
	t.Parallel()
	onEachInstance(t, func(t *testing.T, name string, s *stack) {
		instance := instances[name]
		rdb := s.connect(instance.service)
		uses[name](t, rdb)
		useAsOtherLanguages(t, name, rdb)
		health, err := rediskit.Check(t.Context(), rdb)
		if err != nil {
			t.Fatal(err)
		}
		if policy, _ := health.Nodes[0].EvictionPolicy.Get(); policy != instance.policy {
			t.Errorf("Check returns the policy %q, want %q", policy, instance.policy)
		}
		if denied := denials(t, s.client(instance.service, "admin")); len(denied) > 0 {
			t.Errorf("denied: %q", denied)
		}
	})
}

// Without any one of the grants, the server denies a service something.
func TestEveryGrantIsNeeded(t *testing.T) {
	t.Parallel()
	onEachInstance(t, func(t *testing.T, name string, s *stack) {
		service := instances[name].service
		admin, rules := s.client(service, "admin"), applicationRules(t, filepath.Join("redis", name+".acl"))
		for i, grant := range rules {
			if !strings.ContainsAny(grant[:1], "+~&") {
				continue
			}
			ctx := t.Context()
			others := []any{"ACL", "SETUSER", "default", "reset", "on", ">" + s.password("default")}
			for _, rule := range slices.Delete(slices.Clone(rules), i, i+1) {
				others = append(others, rule)
			}
			if err := errors.Join(admin.Do(ctx, others...).Err(), admin.FlushAll(ctx).Err(), admin.ScriptFlush(ctx).Err(), admin.ACLLogReset(ctx).Err()); err != nil {
				t.Fatal(err)
			}
			if !isDeniedAnything(t, admin, func(t testing.TB) {
				rdb, err := rediskit.Connect(t.Context(), s.config(service))
				ok(t, err)
				defer rdb.Close()
				_, err = rediskit.Check(t.Context(), rdb)
				ok(t, err)
				uses[name](t, rdb)
				useAsOtherLanguages(t, name, rdb)
			}) {
				t.Errorf("%s is granted, and no service needs it", grant)
			}
		}
	})
}

func onEachInstance(t *testing.T, f func(t *testing.T, name string, s *stack)) {
	two, one := up(t, "compose.yaml"), up(t, "compose.single.yaml")
	for name, instance := range instances {
		s := map[string]*stack{"compose.yaml": two, "compose.single.yaml": one}[instance.file]
		t.Run(name, func(t *testing.T) { t.Parallel(); f(t, name, s) })
	}
}

// isDeniedAnything runs use until the server has denied something or use ends. If use
// fails for another reason, such as a busy machine, it is repeated.
func isDeniedAnything(t *testing.T, admin *redis.Client, use func(testing.TB)) bool {
	t.Helper()
	for range 3 {
		denied, failed := watch(t, admin, use)
		if denied || !failed {
			return denied
		}
	}
	t.Fatal("the service fails, and the server denies it nothing")
	return false
}

func watch(t *testing.T, admin *redis.Client, use func(testing.TB)) (denied, failed bool) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	r := &tolerant{TB: t, ctx: ctx}
	done := make(chan struct{})
	go func() {
		defer close(done)
		use(r)
	}()
	for {
		select {
		case <-done:
			return len(denials(t, admin)) > 0, r.failed.Load()
		case <-time.After(5 * time.Millisecond):
			if len(denials(t, admin)) > 0 {
				stop()
				<-done
				return true, false
			}
		}
	}
}

// A tolerant is a testing.TB that records a failure, and does not fail the test.
type tolerant struct {
	testing.TB
	ctx    context.Context
	failed atomic.Bool
}

func (r *tolerant) Context() context.Context { return r.ctx }
func (r *tolerant) Error(...any)             { r.failed.Store(true) }
func (r *tolerant) Errorf(string, ...any)    { r.failed.Store(true) }

func (r *tolerant) Fatal(...any) {
	r.failed.Store(true)
	runtime.Goexit()
}

func (r *tolerant) Fatalf(string, ...any) { r.Fatal() }

// denials returns the distinct entries of the ACL log.
func denials(t *testing.T, admin *redis.Client) []string {
	t.Helper()
	log, err := admin.ACLLog(t.Context(), 100).Result()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, entry := range log {
		list = append(list, fmt.Sprintf("%s: %s %s (%s)", entry.Username, entry.Reason, entry.Object, entry.Context))
	}
	return list
}

// applicationRules returns the rules of a template for the applications, without their
// passwords.
func applicationRules(t *testing.T, template string) []string {
	t.Helper()
	text, err := os.ReadFile(template)
	if err != nil {
		t.Fatal(err)
	}
	_, rules, _ := strings.Cut(string(text), "\nuser default reset on {passwords}")
	rules, _, _ = strings.Cut(rules, "\nuser ")
	var list []string
	for line := range strings.Lines(rules) {
		if !strings.HasPrefix(line, "#") {
			list = append(list, strings.Fields(line)...)
		}
	}
	if len(list) == 0 {
		t.Fatalf("%s grants nothing", template)
	}
	return list
}

func TestNoUserMayDoMoreThanItNeeds(t *testing.T) {
	t.Parallel()
	s := up(t, "compose.yaml")
	dangerous := []string{
		"FLUSHALL", "FLUSHDB", "CONFIG GET *", "CONFIG SET maxmemory 0", "KEYS *", "MONITOR", "SWAPDB 0 1", "SHUTDOWN NOSAVE", "SAVE", "BGSAVE", "ACL LIST", "ACL SETUSER default nopass", "CLIENT LIST", "CLIENT KILL ID 1",
		"SCRIPT FLUSH", "FUNCTION FLUSH", "REPLICAOF h 1", "SELECT 1", "MODULE LIST", "RANDOMKEY", "DBSIZE", "OBJECT FREQ x", "MIGRATE h 1 x 0 1",
	}
	for service, more := range map[string]map[string][]string{
		"redis": {
			"default":  {"GET session:1", "SET lock:1 x", "GET other", "EVAL return(redis.call('GET','session:1')) 0", "PUBLISH conversation:updates x", "SUBSCRIBE rediskit:released:1", "HSET conversations:1 f v"},
			"exporter": {"GET conversations:1:list", "SCAN 0", "CONFIG SET maxmemory 0", "SUBSCRIBE __redis__:invalidate"},
			"health":   {"GET conversations:1:list", "INFO", "ECHO x", "SET x y"},
		},
		"redis-state": {
			"default":  {"GET conversations:1:list", "SET cache:1 x", "GET other", "EVAL return(redis.call('FLUSHALL')) 0", "SUBSCRIBE other", "PSUBSCRIBE *", "PSUBSCRIBE conversation:upd*", "PUBLISH other x"},
			"exporter": {"HGETALL session:1", "SCAN 0", "PUBLISH conversation:updates x"},
			"health":   {"HGETALL session:1", "INFO", "PUBLISH conversation:updates x"},
		},
	} {
		for user, list := range more {
			rdb := s.client(service, user)
			for _, command := range append(slices.Clone(dangerous), list...) {
				if user == "exporter" && command == "CONFIG GET *" {
					continue // the exporter may read settings
				}
				if err := do(rdb, command); !isDenied(err) {
					t.Errorf("%s: %s of %s: %v", service, command, user, err)
				}
			}
		}
	}
}

// isDenied reports whether the server accepted the user and denied the command, or a
// command in its script.
func isDenied(err error) bool {
	return err != nil && (redis.IsPermissionError(err) || strings.Contains(err.Error(), "The user executing the script can't"))
}
