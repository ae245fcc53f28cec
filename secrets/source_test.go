package secrets_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/convkit/rediskit/secrets"
)

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAFileIsTrimmedAsJavaScriptTrims(t *testing.T) {
	t.Parallel()
	const nel = "\u0085"
	for content, want := range map[string]string{
		"hunter2":             "hunter2",
		"hunter2\n":           "hunter2",
		"hunter2\r\n\r\n":     "hunter2",
		" \t\v\f hunter 2 ":   "hunter 2",
		"\uFEFFhunter2\n":     "hunter2",
		"\u00A0hunter2":       "hunter2",
		"hunter2\u2028":       "hunter2",
		"hunter2\u2029":       "hunter2",
		"\u3000\u1680h\u205F": "h",
		nel + "hunter2":       nel + "hunter2",
		"\u180Eh\u200B":       "\u180Eh\u200B",
	} {
		got, err := secrets.File(write(t, content)).Read(t.Context())
		if err != nil || got.Reveal() != want {
			t.Errorf("%q gives %q, %v; want %q", content, got.Reveal(), err, want)
		}
	}
}

func TestEachDefectOfAFileHasItsOwnErrorWithoutContent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, path string
		want       error
	}{
		{"missing", filepath.Join(dir, "nothing"), secrets.ErrMissing},
		{"empty", write(t, ""), secrets.ErrEmpty},
		{"blank", write(t, " \n\t\uFEFF"), secrets.ErrEmpty},
		{"two lines", write(t, canary+"\n"+canary), secrets.ErrMultiLine},
		{"two lines of a Mac", write(t, canary+"\r"+canary), secrets.ErrMultiLine},
		{"NUL", write(t, canary+"\x00"), secrets.ErrNUL},
		{"too long", write(t, strings.Repeat("x", 64<<10+1)), secrets.ErrTooLong},
		{"directory", dir, secrets.ErrDirectory},
		{"FIFO", fifo, secrets.ErrNotRegular},
		{"device", os.DevNull, secrets.ErrNotRegular},
		{"unreadable", loop, secrets.ErrUnreadable},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			secret, err := secrets.File(test.path).Read(t.Context())
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if !secret.IsZero() || strings.Contains(err.Error(), canary) || !strings.Contains(err.Error(), test.path) {
				t.Errorf("the error must name the path and nothing of the content: %v", err)
			}
		})
	}
}

func TestAFullLengthSecretIsAccepted(t *testing.T) {
	t.Parallel()
	secret, err := secrets.File(write(t, strings.Repeat("x", 64<<10))).Read(t.Context())
	if err != nil || len(secret.Reveal()) != 64<<10 {
		t.Errorf("length %d, %v", len(secret.Reveal()), err)
	}
}

func TestAnEndedContextEndsARead(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := secrets.File(write(t, "x")).Read(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAFileIsReadAgainEachTime(t *testing.T) {
	t.Parallel()
	path := write(t, "old")
	source := secrets.File(path)
	for _, want := range []string{"old", "new"} {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := source.Read(t.Context()); err != nil || got.Reveal() != want {
			t.Errorf("got %q, %v; want %q", got.Reveal(), err, want)
		}
	}
}

func TestEnvDistinguishesUnsetFromEmpty(t *testing.T) {
	t.Setenv("SECRETS_TEST_EMPTY", "")
	t.Setenv("SECRETS_TEST_SET", " hunter2\n")
	if _, err := secrets.Env("SECRETS_TEST_UNSET").Read(t.Context()); !errors.Is(err, secrets.ErrMissing) {
		t.Errorf("unset: %v", err)
	}
	if _, err := secrets.Env("SECRETS_TEST_EMPTY").Read(t.Context()); !errors.Is(err, secrets.ErrEmpty) {
		t.Errorf("empty: %v", err)
	}
	if got, err := secrets.Env("SECRETS_TEST_SET").Read(t.Context()); err != nil || got.Reveal() != "hunter2" {
		t.Errorf("set: %q, %v", got.Reveal(), err)
	}
}

func TestFirstOfSkipsTheMissingAndNothingElse(t *testing.T) {
	t.Parallel()
	missing := secrets.File(filepath.Join(t.TempDir(), "nothing"))
	empty := secrets.File(write(t, ""))
	good := secrets.Static(secrets.New("hunter2"))

	if got, err := secrets.FirstOf(missing, good, empty).Read(t.Context()); err != nil || got.Reveal() != "hunter2" {
		t.Errorf("the first that exists: %q, %v", got.Reveal(), err)
	}
	if _, err := secrets.FirstOf(missing, empty, good).Read(t.Context()); !errors.Is(err, secrets.ErrEmpty) {
		t.Errorf("an empty file was passed over: %v", err)
	}
	if _, err := secrets.FirstOf(missing, missing).Read(t.Context()); !errors.Is(err, secrets.ErrMissing) {
		t.Errorf("nothing exists: %v", err)
	}
	if got, err := secrets.FirstOf(missing, secrets.None()).Read(t.Context()); err != nil || !got.IsZero() {
		t.Errorf("no password at all: %v", err)
	}
}

// Any content of a file is a secret that can be sent to Redis, or an error that holds
// nothing of the content.
func FuzzAFileIsASecretOrAnErrorWithoutItsContent(f *testing.F) {
	for _, text := range []string{"", "hunter2\n", "\uFEFFx", "a\x00", "a\nb", "a\rb", "\xff", " \u2028", "\u0085"} {
		f.Add(text, text)
	}
	path := filepath.Join(f.TempDir(), "password")
	f.Fuzz(func(t *testing.T, before, after string) {
		for _, content := range []string{before + canary + after, before} {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			secret, err := secrets.FirstOf(secrets.File(path)).Read(t.Context())
			text := secret.Reveal()
			if err != nil && (strings.Contains(err.Error(), canary) || text != "") {
				t.Errorf("%q: %v, and a secret of %d bytes", content, err, len(text))
			}
			if err == nil && (text == "" || strings.ContainsAny(text, "\x00\r\n") || !strings.Contains(content, text)) {
				t.Errorf("%q is the secret %q", content, text)
			}
		}
	})
}
