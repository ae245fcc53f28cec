package secrets_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/convkit/rediskit/secrets"
)

func Example() {
	dir, _ := os.MkdirTemp("", "secrets")
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "redis_password")
	_ = os.WriteFile(path, []byte("hunter2\n"), 0o600)

	password, err := secrets.FirstOf(
		secrets.Docker("no_such_secret"),
		secrets.File(path),
	).Read(context.Background())

	fmt.Println(password, err)
	fmt.Println(len(password.Reveal()))
	// Output:
	// [redacted] <nil>
	// 7
}

func ExampleGenerate() {
	password := secrets.Generate()
	fmt.Println(password, len(password.Reveal()))
	// Output: [redacted] 64
}

func ExampleNone() {
	password, err := secrets.None().Read(context.Background())
	fmt.Println(password.IsZero(), err)
	// Output: true <nil>
}
