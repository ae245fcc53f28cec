package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/convkit/rediskit/secrets"
)

// hash returns the hash of a password as an ACL file contains it. The hash of a password
// of 256 random bits is no secret, so that it may be a command-line argument.
func hash(password secrets.Secret) string {
	sum := sha256.Sum256([]byte(password.Reveal()))
	return "#" + hex.EncodeToString(sum[:])
}

func (k kit) templates() ([]string, error) {
	list, err := filepath.Glob(filepath.Join(k.dir, "redis", "*.acl"))
	if err == nil && len(list) == 0 {
		err = errors.New("found no redis/*.acl: run passwords in the folder of compose.yaml, or name that folder with -dir")
	}
	return list, err
}

// change says how writeACLs changes the passwords of one user.
type change struct {
	user   string
	add    string // the hash of an additional password
	retire bool   // keep only the password in the user's file
}

// writeACLs writes the ACL files in secrets/ from the templates in redis/. Each user gets
// the password in its file, and keeps the other passwords that it has in the ACL file, as
// during a rotation. c changes that for one user.
func (k kit) writeACLs(c change) error {
	templates, err := k.templates()
	if err != nil {
		return err
	}
	for _, template := range templates {
		text, err := os.ReadFile(template)
		if err != nil {
			return err
		}
		path := k.secret(filepath.Base(template))
		present, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		hashes := map[string][]string{}
		for _, u := range users {
			password, err := k.password(u)
			if err != nil {
				return err
			}
			list := []string{hash(password)}
			if u.name == c.user && c.add != "" {
				list = append(list, c.add)
			}
			if u.name != c.user || !c.retire {
				list = append(list, hashesOf(u.name, string(present))...)
			}
			slices.Sort(list)
			hashes[u.name] = slices.Compact(list)
		}
		rules, err := render(string(text), hashes)
		if err != nil {
			return fmt.Errorf("%s: %w", template, err)
		}
		if err := writeInPlace(path, []byte(rules)); err != nil {
			return err
		}
	}
	return nil
}

// render returns the ACL file for a template. redis/cache.acl explains the form of
// templates.
func render(template string, hashes map[string][]string) (string, error) {
	var lines []string
	for line := range strings.Lines(template) {
		text := strings.TrimSpace(line)
		switch {
		case text == "" || text[0] == '#':
		case line[0] != ' ' && line[0] != '\t':
			lines = append(lines, text)
		case len(lines) == 0:
			return "", errors.New("begins with a space, although there is no line to continue")
		default:
			lines[len(lines)-1] += " " + text
		}
	}
	for i, line := range lines {
		if before, after, found := strings.Cut(line, "{passwords}"); found {
			words := strings.Fields(line)
			list := hashes[words[1]]
			if len(list) == 0 {
				return "", fmt.Errorf("needs passwords for user %s, which has none", words[1])
			}
			lines[i] = before + strings.Join(list, " ") + after
		}
	}
	return strings.Join(lines, "\n") + "\n", nil
}

// hashesOf returns the hashes of the passwords that a user has in an ACL file.
func hashesOf(user, rules string) []string {
	for line := range strings.Lines(rules) {
		if strings.HasPrefix(line, "user "+user+" ") {
			return regexp.MustCompile(`#[0-9a-f]{64}`).FindAllString(line, -1)
		}
	}
	return nil
}
