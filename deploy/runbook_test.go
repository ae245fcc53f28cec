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
)

// A section says what must hold for one section of a page. before prepares what its
// blocks need; after checks what they have printed and done.
type section struct {
	before func(t *testing.T, s *stack)
	after  func(t *testing.T, s *stack, printed []string)
}

// sections returns what must hold for the blocks below each heading, in both pages. The
// blocks of a section whose heading begins with "Alert " only need to succeed.
func sections() map[string]section {
	var old string // the password before the rotation
	return map[string]section{
		"Start": {nil, prints("", "", "redis\n")},

		"State of Redis":          {nil, prints("redis-state\n", "evicted_keys:0", "used_memory_human:", "db0:keys=")},
		"One key":                 {nil, prints(`"conversations:user_1:list"`, "[1,2]\n", "state\nwaiting_for_llm\n", "3")},
		"Commands as they arrive": {nil, prints("OK\n")},
		"Memory full":             {nil, prints("maxmemory_human:256.00M", "maxmemory-policy\nallkeys-lru\n", "Sam", "session:abc123")},
		"Connection refused": {
			func(t *testing.T, s *stack) {
				if err := s.client("redis", "default").Get(t.Context(), "forbidden").Err(); !isDenied(err) {
					t.Errorf("a key without a grant: %v", err)
				}
			},
			prints("redis\n", "Ready to accept connections", "PONG\n", "maxclients:1000", "forbidden"),
		},
		"Slow": {
			func(t *testing.T, s *stack) {
				ok(t, s.client("redis", "admin").ConfigSet(t.Context(), "slowlog-log-slower-than", "0").Err())
				ok(t, s.client("redis", "admin").Echo(t.Context(), "slow").Err())
				ok(t, s.client("redis", "admin").ConfigSet(t.Context(), "slowlog-log-slower-than", "10000").Err())
			},
			prints("slow", "cmdstat_get:", "", "cmd=client|list"),
		},
		"Remove a part of the cache": {
			func(t *testing.T, s *stack) {
				pipe := s.client("redis", "admin").Pipeline()
				for i := range 2500 {
					pipe.Set(t.Context(), fmt.Sprintf("conversations:%d:list", i), "x", 0)
				}
				for _, key := range []string{"conversations:x victim", "conversations:x\nvictim", "victim", "x", "rediskit:lease:{conversations:1:list}"} {
					pipe.Set(t.Context(), key, "x", 0)
				}
				_, err := pipe.Exec(t.Context())
				ok(t, err)
			},
			func(t *testing.T, s *stack, printed []string) {
				prints("rediskit:*: 1\nconversations:*: 2503\n")(t, s, printed)
				left := s.client("redis", "admin").Keys(t.Context(), "*").Val()
				slices.Sort(left)
				if want := []string{"victim", "x"}; !slices.Equal(left, want) {
					t.Errorf("left are %q, want %q", left, want)
				}
			},
		},
		"End one session or lock": {nil, func(t *testing.T, s *stack, printed []string) {
			prints("1\n", "1\n")(t, s, printed)
			s.has(t, "redis-state", "rate_limit:user_1")
		}},
		"Clear everything": {nil, func(t *testing.T, s *stack, _ []string) {
			s.has(t, "redis")
			s.run("docker compose restart redis-state") // which must not restore the keys
			s.has(t, "redis-state")
			info, err := os.Stat(filepath.Join(s.dir, "before-clear.rdb"))
			if err != nil || info.Size() == 0 || info.Mode().Perm() != 0o600 {
				t.Errorf("the backup: %v, %v", info, err)
			}
		}},
		"Rotate the password": {
			func(_ *testing.T, s *stack) { old = s.password("default") },
			func(t *testing.T, s *stack, printed []string) {
				prints("the only password of default", "both passwords are valid", "the only password of default")(t, s, printed)
				s.refusesOnly(old)
			},
		},
		"Change permissions": {
			func(t *testing.T, s *stack) {
				for _, name := range []string{"redis/cache.acl", "redis/state.acl"} {
					path := filepath.Join(s.dir, name)
					text, err := os.ReadFile(path)
					ok(t, err)
					ok(t, os.WriteFile(path, []byte(strings.Replace(string(text), "~rediskit:*", "~rediskit:* ~added:*", 1)), 0o644))
				}
			},
			func(t *testing.T, s *stack, printed []string) {
				prints("kept", "OK\n", "OK\n")(t, s, printed)
				for service := range s.containers {
					if err := s.client(service, "default").Get(t.Context(), "added:1").Err(); err != redis.Nil {
						t.Errorf("%s: GET of a key that was added: %v", service, err)
					}
				}
			},
		},
		"Back up": {seed, func(t *testing.T, s *stack, _ []string) {
			ok(t, s.client("redis-state", "admin").FlushAll(t.Context()).Err())
		}},
		"Restore": {nil, func(t *testing.T, s *stack, _ []string) {
			all := []string{"lock:conversation:abc123", "rate_limit:user_1", "session:abc123"}
			s.has(t, "redis-state", all...)
			ok(t, os.WriteFile(filepath.Join(s.dir, "state.rdb"), []byte("REDIS0010 cut off"), 0o600))
			for _, found := range blocksOf(t, "RUNBOOK.md") {
				if found.heading == "Restore" {
					if out, err := s.try(found.blocks[0]); err == nil {
						t.Errorf("restored a file that is no snapshot: %s", out)
					}
				}
			}
			s.has(t, "redis-state", all...)
			if !strings.Contains(s.run("docker compose ps"), "redis-state") {
				t.Error("the instance was stopped for a file that is no snapshot")
			}
		}},
	}
}

// prints returns a check that the nth block has printed the nth text.
func prints(want ...string) func(*testing.T, *stack, []string) {
	return func(t *testing.T, _ *stack, printed []string) {
		t.Helper()
		if len(printed) != len(want) {
			t.Fatalf("there are %d blocks, want %d", len(printed), len(want))
		}
		for i, text := range want {
			if !strings.Contains(printed[i], text) {
				t.Errorf("block %d did not print %q:\n%s", i+1, text, printed[i])
			}
		}
	}
}

// seed makes the keys that the runbook names.
func seed(t *testing.T, s *stack) {
	t.Helper()
	ctx := t.Context()
	ok(t, s.client("redis", "admin").Set(ctx, "conversations:user_1:list", "[1,2]", 0).Err())
	state := s.client("redis-state", "admin")
	ok(t, state.HSet(ctx, "session:abc123", "state", "waiting_for_llm").Err())
	ok(t, state.Do(ctx, "SET", "rate_limit:user_1", 1, "EX", 3600).Err())
	ok(t, state.Set(ctx, "lock:conversation:abc123", "token", 0).Err())
}

func (s *stack) has(t *testing.T, service string, want ...string) {
	t.Helper()
	got := s.client(service, "admin").Keys(t.Context(), "*").Val()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s has the keys %q, want %q", service, got, want)
	}
}

func TestEachBlockOfTheRunbookDoesWhatItsSectionSays(t *testing.T) {
	t.Parallel()
	s := up(t, "compose.yaml")
	seed(t, s)
	expected := sections()
	for _, page := range []string{"README.md", "RUNBOOK.md"} {
		for _, found := range blocksOf(t, page) {
			expect, known := expected[found.heading]
			if !known && page == "README.md" || !known && !strings.HasPrefix(found.heading, "Alert ") {
				t.Errorf("%s: sections has nothing about the blocks below %q", page, found.heading)
				continue
			}
			if expect.before != nil {
				expect.before(t, s)
			}
			var printed []string
			for _, block := range found.blocks {
				printed = append(printed, s.run(block))
			}
			if expect.after != nil {
				t.Run(found.heading, func(t *testing.T) { expect.after(t, s, printed) })
			}
			for _, user := range []string{"default", "admin", "exporter"} {
				for _, arg := range s.dockerArgs() {
					if strings.Contains(arg, s.password(user)) {
						t.Errorf("%s: %q shows the password of %s to a process list", page, found.heading, user)
					}
				}
			}
		}
	}
}

type blocks struct {
	heading string
	blocks  []string
}

// blocksOf returns the bash blocks of a page, by their heading.
func blocksOf(t *testing.T, page string) []blocks {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var list []blocks
	for part := range strings.SplitSeq(string(text), "\n## ") {
		found := blocks{}
		found.heading, part, _ = strings.Cut(part, "\n")
		for {
			_, rest, opened := strings.Cut(part, "```bash\n")
			if !opened {
				break
			}
			block, rest, closed := strings.Cut(rest, "```\n")
			if !closed {
				t.Fatalf("%s: a block below %q has no end", page, found.heading)
			}
			found.blocks = append(found.blocks, block)
			part = rest
		}
		if len(found.blocks) > 0 {
			list = append(list, found)
		}
	}
	if len(list) == 0 {
		t.Fatalf("%s has no blocks", page)
	}
	return list
}

func TestTheRunbookHasNoBlockingCommandAndShowsNoPassword(t *testing.T) {
	t.Parallel()
	unsafe := regexp.MustCompile(`(?i)\bKEYS\b|\bxargs\b|--pass\b|(^|\s)-a\s|\blogs\s.*-f|REDISCLI_AUTH=`)
	for _, found := range blocksOf(t, "RUNBOOK.md") {
		for _, block := range found.blocks {
			if match := unsafe.FindString(block); match != "" {
				t.Errorf("%s: %q in %s", found.heading, match, block)
			}
		}
	}
}

func TestEveryLinkToASectionOrFileWorks(t *testing.T) {
	t.Parallel()
	anchors := map[string]bool{}
	pages := map[string]string{}
	for _, page := range []string{"README.md", "RUNBOOK.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		pages[page] = string(text)
		for _, heading := range regexp.MustCompile(`(?m)^##+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
			anchors[page+"#"+strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(heading[1], ",", ""), " ", "-"))] = true
		}
	}
	for page, text := range pages {
		for _, link := range regexp.MustCompile(`\]\(([^):]+)\)`).FindAllStringSubmatch(text, -1) {
			file, anchor, found := strings.Cut(link[1], "#")
			if file == "" {
				file = page
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %v", page, err)
			}
			if found && !anchors[file+"#"+anchor] {
				t.Errorf("%s: nothing is at %s", page, link[1])
			}
		}
	}
}
