package secrets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"unicode"
)

// A Source returns a secret. Read is called each time that the secret is needed, by any
// number of goroutines at once. A Source without a secret returns an error. The zero
// [Secret] means that no secret is used; only [None] and [Static] return it.
type Source interface {
	Read(ctx context.Context) (Secret, error)
}

// The reasons why a Source fails. An error that names the file or the variable, and
// says what to do, wraps each of them.
var (
	ErrMissing    = errors.New("does not exist")
	ErrEmpty      = errors.New("is empty")
	ErrMultiLine  = errors.New("has more than one line")
	ErrNUL        = errors.New("contains a NUL byte")
	ErrTooLong    = errors.New("is longer than 64 KiB")
	ErrDirectory  = errors.New("is a directory")
	ErrNotRegular = errors.New("is not a regular file")
	ErrUnreadable = errors.New("cannot be read")
)

const maxLength = 64 << 10

// Docker returns the Docker or Compose secret called name: the content of
// /run/secrets/<name>.
func Docker(name string) Source { return file("/run/secrets/" + name) }

// File returns the secret that is the content of the file at path, without the white
// space around it.
func File(path string) Source { return file(path) }

type file string

func (f file) Read(ctx context.Context) (Secret, error) {
	name := "file " + string(f)
	if err := ctx.Err(); err != nil {
		return Secret{}, fmt.Errorf("secrets: reading %s: %w", name, err)
	}
	// Without O_NONBLOCK, opening a FIFO would wait for its writer.
	in, err := os.OpenFile(string(f), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return Secret{}, failure(name, ErrMissing, "create it, or mount the secret that it comes from")
	}
	if err != nil {
		return Secret{}, unreadable(name, err)
	}
	defer in.Close()
	switch info, err := in.Stat(); {
	case err != nil:
		return Secret{}, unreadable(name, err)
	case info.IsDir():
		return Secret{}, failure(name, ErrDirectory, "name the file in it; Docker makes a directory where the file to mount was missing")
	case !info.Mode().IsRegular():
		return Secret{}, failure(name, ErrNotRegular, "put the password into a plain file")
	}
	text, err := io.ReadAll(io.LimitReader(in, maxLength+1))
	if err != nil {
		return Secret{}, unreadable(name, err)
	}
	return parse(name, string(text))
}

func unreadable(name string, err error) error {
	hint := "let the user of this process read it"
	var errno syscall.Errno
	if errors.As(err, &errno) {
		hint += " (" + errno.Error() + ")"
	}
	return failure(name, ErrUnreadable, hint)
}

// Env returns the secret that is the value of the environment variable called name,
// without the white space around it.
func Env(name string) Source { return env(name) }

type env string

func (e env) Read(context.Context) (Secret, error) {
	name := "environment variable " + string(e)
	text, ok := os.LookupEnv(string(e))
	if !ok {
		return Secret{}, failure(name, ErrMissing, "set it")
	}
	secret, err := parse(name, text)
	if errors.Is(err, ErrEmpty) {
		return secret, failure(name, ErrEmpty, "put the password in it, or unset it")
	}
	return secret, err
}

// FirstOf returns the secret of the first source that exists. If a source exists but is
// empty or broken, that is an error, and the next source is not read.
func FirstOf(sources ...Source) Source { return firstOf(sources) }

type firstOf []Source

func (f firstOf) Read(ctx context.Context) (Secret, error) {
	var missing []string
	for _, source := range f {
		if source == nil {
			return Secret{}, errors.New("secrets: FirstOf has a nil source; leave it out")
		}
		secret, err := source.Read(ctx)
		if !errors.Is(err, ErrMissing) {
			return secret, err
		}
		missing = append(missing, strings.TrimPrefix(err.Error(), "secrets: "))
	}
	return Secret{}, fmt.Errorf("secrets: each source %w: %s", ErrMissing, strings.Join(missing, "; "))
}

// Static returns a source whose Read always returns secret.
func Static(secret Secret) Source { return static{secret} }

// None returns a source that means: there is no password.
func None() Source { return static{} }

type static struct{ secret Secret }

func (s static) Read(context.Context) (Secret, error) { return s.secret, nil }

func parse(name, text string) (Secret, error) {
	if len(text) > maxLength {
		return Secret{}, failure(name, ErrTooLong, "it does not look like a password; name the right one")
	}
	text = strings.TrimFunc(text, isJavaScriptSpace)
	switch {
	case text == "":
		return Secret{}, failure(name, ErrEmpty, "write the password into it")
	case strings.ContainsRune(text, 0):
		return Secret{}, failure(name, ErrNUL, "save it as UTF-8 text; UTF-16 looks like this")
	case strings.ContainsAny(text, "\r\n"):
		return Secret{}, failure(name, ErrMultiLine, "leave the password alone in it")
	}
	return New(text), nil
}

// isJavaScriptSpace reports whether String.prototype.trim removes r: the white space of
// Unicode except NEL, and the byte order mark.
func isJavaScriptSpace(r rune) bool {
	return r == '\uFEFF' || r != '\u0085' && unicode.IsSpace(r)
}

func failure(name string, reason error, hint string) error {
	return fmt.Errorf("secrets: %s %w: %s", name, reason, hint)
}
