package secrets_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/convkit/rediskit/secrets"
)

// The first source that exists is read. The result does not print.
func Example() {
	dir, err := os.MkdirTemp("", "secrets")
	if err != nil {
		panic(err)
	}
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

// A source is read whenever the password is needed, so that a rotated one needs no
// restart.
func ExampleFile() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "secrets")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "redis_password")
	source := secrets.File(path)

	for _, text := range []string{"hunter2\n", "correct horse\n", "\n"} {
		_ = os.WriteFile(path, []byte(text), 0o600)
		password, err := source.Read(ctx)
		fmt.Println(len(password.Reveal()), errors.Is(err, secrets.ErrEmpty))
	}
	// Output:
	// 7 false
	// 13 false
	// 0 true
}

// A Secret stays redacted inside other values, and in JSON.
func ExampleSecret() {
	config := struct {
		User     string
		Password secrets.Secret
	}{"app", secrets.New("hunter2")}

	fmt.Printf("%+v\n", config)
	text, err := json.Marshal(config)
	fmt.Println(string(text), err)
	// Output:
	// {User:app Password:[redacted]}
	// {"User":"app","Password":"[redacted]"} <nil>
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
