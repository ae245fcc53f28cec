package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/convkit/rediskit/secrets"
)

// kit is the folder of compose.yaml. init makes the files in its secrets/.
type kit struct{ dir string }

// user is a user of Redis that has a password.
type user struct {
	name string
	file string // in secrets/
}

var users = []user{
	{"default", "redis_password.txt"}, // the applications
	{"exporter", "exporter.json"},
	{"admin", "admin_password.txt"},
}

func userCalled(name string) (user, error) {
	for _, u := range users {
		if u.name == name {
			return u, nil
		}
	}
	return user{}, errors.New("there is no such user: name default (the applications), exporter or admin")
}

// hosts are the names of the Redis services in the Compose files.
var hosts = []string{"redis", "redis-state"}

func (k kit) secret(file string) string { return filepath.Join(k.dir, "secrets", file) }

// init makes every password that does not exist, and writes the ACL files from their
// templates and the passwords. A second run changes only what depends on a template or
// a password file that has changed.
func (k kit) init() error {
	if _, err := k.templates(); err != nil {
		return err
	}
	if err := os.MkdirAll(k.secret(""), 0o700); err != nil {
		return err
	}
	// The users of the containers do not exist on the host. So every user may read the
	// files, but only the owner can enter their folder. A container mounts the files only.
	if err := os.Chmod(k.secret(""), 0o700); err != nil {
		return err
	}
	for _, u := range users {
		password, err := k.password(u)
		switch {
		case errors.Is(err, secrets.ErrMissing):
			password = secrets.Generate()
			fmt.Printf("%s: made\n", k.secret(u.file))
		case err != nil:
			return err
		default:
			fmt.Printf("%s: kept\n", k.secret(u.file))
		}
		if err := k.store(u, password); err != nil {
			return err
		}
	}
	return k.writeACLs(change{})
}

// password returns the user's password as its clients read it.
func (k kit) password(u user) (secrets.Secret, error) {
	text, err := secrets.File(k.secret(u.file)).Read(context.Background())
	if err != nil || u.name != "exporter" {
		return text, err
	}
	var passwords map[string]string
	if err := json.Unmarshal([]byte(text.Reveal()), &passwords); err != nil || passwords[targets()[0]] == "" {
		return text, fmt.Errorf("%s is not the exporter's map of passwords: delete it, and run init", k.secret(u.file))
	}
	return secrets.New(passwords[targets()[0]]), nil
}

func (k kit) store(u user, password secrets.Secret) error {
	content := []byte(password.Reveal() + "\n")
	if u.name == "exporter" {
		passwords := map[string]string{}
		for _, target := range targets() {
			passwords[target] = password.Reveal()
		}
		var err error
		if content, err = json.Marshal(passwords); err != nil {
			return err
		}
		content = append(content, '\n')
	}
	return writeInPlace(k.secret(u.file), content)
}

// targets are the names by which exporters look up passwords. Older exporters use those
// without the user.
func targets() []string {
	var list []string
	for _, host := range hosts {
		list = append(list, "redis://"+host+":6379", "redis://exporter@"+host+":6379")
	}
	return list
}

// writeInPlace writes content to the file at path, which all may read. A container mounts
// the inode, so the file is not replaced. It is not truncated either, so that no reader
// finds it empty meanwhile: one write sets the content, padded with newlines, which all
// readers of these files trim.
func writeInPlace(path string, content []byte) error {
	old, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.WriteFile(path, content, 0o444); err != nil {
			return err
		}
	case err != nil:
		return err
	case !bytes.Equal(bytes.TrimSpace(old), bytes.TrimSpace(content)):
		if missing := len(old) - len(content); missing > 0 {
			content = append(content, bytes.Repeat([]byte("\n"), missing)...)
		}
		if err := overwrite(path, content); err != nil {
			return err
		}
	}
	return os.Chmod(path, 0o444) // independent of the umask
}

func overwrite(path string, content []byte) error {
	if err := os.Chmod(path, 0o644); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}
