package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
)

// A service uses everything that the library has. It is told of no error, the server
// denies it nothing, and nothing is granted that it does not use.
func TestTheApplicationsMayDoWhatTheLibraryDoesAndNoMore(t *testing.T) {
	t.Parallel()
	two, one := up(t, "compose.yaml"), up(t, "compose.single.yaml")
	uses := map[string]func(*testing.T, redis.UniversalClient){
		"cache":  useCache,
		"state":  useState,
		"single": func(t *testing.T, rdb redis.UniversalClient) { useCache(t, rdb); useState(t, rdb) },
	}
	for name, instance := range instances {
		s := map[string]*stack{"compose.yaml": two, "compose.single.yaml": one}[instance.file]
		t.Run(name, func(t *testing.T) {
			admin := s.client(instance.service, "admin")
			rdb := s.connect(instance.service)
			uses[name](t, rdb)
			asOthersDo(t, name, rdb)
			health, err := rediskit.Check(t.Context(), rdb)
			if err != nil {
				t.Fatal(err)
			}
			if policy, _ := health.Nodes[0].EvictionPolicy.Get(); policy != instance.policy {
				t.Errorf("Check tells the policy %q, want %q", policy, instance.policy)
			}

			if denied := denials(t, admin); len(denied) > 0 {
				t.Errorf("denied: %q", denied)
			}
			ran := commandsRun(t, admin)
			for _, command := range granted(t, filepath.Join("redis", name+".acl")) {
				if !ran[command] {
					t.Errorf("+%s is granted, and nobody needs it", command)
				}
			}
		})
	}
}

// denials are the distinct entries of the ACL log.
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

var commandStat = regexp.MustCompile(`(?m)^cmdstat_([^:]+):`)

// commandsRun are the commands, scripts' own among them, that the server has run.
func commandsRun(t *testing.T, admin *redis.Client) map[string]bool {
	t.Helper()
	info, err := admin.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	ran := map[string]bool{}
	for _, match := range commandStat.FindAllStringSubmatch(info, -1) {
		ran[match[1]] = true
	}
	return ran
}

// granted are the commands that a template grants the applications by name.
func granted(t *testing.T, template string) []string {
	t.Helper()
	text, err := os.ReadFile(template)
	if err != nil {
		t.Fatal(err)
	}
	_, rules, _ := strings.Cut(string(text), "\nuser default")
	rules, _, _ = strings.Cut(rules, "\nuser ")
	var list []string
	for line := range strings.Lines(rules) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for word := range strings.FieldsSeq(line) {
			if name, found := strings.CutPrefix(word, "+"); found && name[0] != '@' {
				list = append(list, name)
			}
		}
	}
	if len(list) == 0 {
		t.Fatalf("%s grants nothing", template)
	}
	return list
}

func TestNobodyMayDoMore(t *testing.T) {
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
					continue // it reports some settings
				}
				if err := do(rdb, command); !isDenied(err) {
					t.Errorf("%s: %s of %s: %v", service, command, user, err)
				}
			}
		}
	}
}

// isDenied says whether the server let the user in and refused the command, or what
// its script does.
func isDenied(err error) bool {
	return err != nil && (redis.IsPermissionError(err) || strings.Contains(err.Error(), "The user executing the script can't"))
}
