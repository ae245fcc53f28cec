package rediskit_test

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/cache"
)

type Conversation struct{ ID, Title string }

type database struct{}

func (database) Conversations(context.Context, string) ([]Conversation, error) { return nil, nil }

// readme holds the first snippet of the README, so that the compiler checks it.
func readme(ctx context.Context, db database, speakerID string) error {
	rdb, err := rediskit.Connect(ctx, rediskit.Config{}) // redis:6379, password from /run/secrets/redis_password
	if err != nil {
		return err
	}
	defer rdb.Close()

	conversations, err := cache.New[[]Conversation](rdb, cache.Config{
		Key: "conversations:*:list", // '*' is the id
		TTL: 5 * time.Minute,
	})
	if err != nil {
		return err
	}
	defer conversations.Close()

	// One GET on a hit. On a miss one load in the whole fleet, however many ask.
	list, err := conversations.GetOrLoad(ctx, speakerID, db.Conversations)
	if err != nil {
		return err
	}

	// After a change: no load that began before it can put the old list back.
	err = conversations.Delete(ctx, speakerID)

	_ = list
	return err
}

func TestTheREADMEsSnippetIsTheOneThatCompiles(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("readme_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```go\n")
	snippet, _, closed := strings.Cut(rest, "```\n")
	if !found || !closed {
		t.Fatal("README.md has no Go snippet")
	}
	var indented strings.Builder
	for line := range strings.Lines(snippet) {
		if line != "\n" {
			indented.WriteString("\t")
		}
		indented.WriteString(line)
	}
	if !strings.Contains(string(source), indented.String()) {
		t.Errorf("the function readme does not have the README's snippet:\n%s", snippet)
	}
	for _, link := range regexp.MustCompile(`\]\(([^):]+)\)`).FindAllStringSubmatch(string(page), -1) {
		if _, err := os.Stat(link[1]); err != nil {
			t.Errorf("a link leads nowhere: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := readme(ctx, database{}, "user_1"); err == nil {
		t.Error("connected although the context had ended")
	}
}
