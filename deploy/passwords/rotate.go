package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/convkit/rediskit/secrets"
)

// replace makes a new password valid beside the old one, and writes it to the file that
// clients read. It changes the servers first, then their ACL files, in case a server
// restarts meanwhile. The password's file is last, so that a client that reads the new
// password can always use it.
func (k kit) replace(ctx context.Context, u user) error {
	services, err := k.running(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(services, isRedis) {
		return errors.New("no Redis runs in this Compose project: start it, or name its file in COMPOSE_FILE; nothing was changed")
	}
	password := secrets.Generate()
	if err := k.setUser(ctx, services, u, hash(password)); err != nil {
		return err
	}
	if err := k.writeACLs(change{user: u.name, add: hash(password)}); err != nil {
		return err
	}
	if err := k.store(u, password); err != nil {
		return err
	}
	if u.name == "exporter" && slices.Contains(services, "redis-exporter") { // which reads its file only when it starts
		if _, err := k.compose(ctx, "restart", "redis-exporter"); err != nil {
			return err
		}
	}
	fmt.Printf("%s: new; the old password is also still valid\n", k.secret(u.file))
	return nil
}

func wait(ctx context.Context, grace time.Duration, u user) error {
	fmt.Printf("waiting %v for clients to read the new password\n", grace)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("interrupted; the old password is valid until: go run ./passwords retire %s", u.name)
	}
}

// retire leaves only the password in the user's file valid. Connections that were
// authenticated with another password stay open.
func (k kit) retire(ctx context.Context, u user) error {
	password, err := k.password(u)
	if err != nil {
		return err
	}
	services, err := k.running(ctx)
	if err != nil {
		return err
	}
	if err := k.writeACLs(change{user: u.name, retire: true}); err != nil {
		return err
	}
	// One command, so that the user has a password at every moment.
	if err := k.setUser(ctx, services, u, "resetpass", hash(password)); err != nil {
		return err
	}
	fmt.Printf("%s: the only password of %s\n", k.secret(u.file), u.name)
	return nil
}

// setUser changes the user in the memory of the running servers. ACL LOAD would read the
// file instead, and would close every connection of the user, subscriptions included.
func (k kit) setUser(ctx context.Context, services []string, u user, rules ...string) error {
	for _, service := range services {
		if !isRedis(service) {
			continue
		}
		args := append([]string{"exec", "-T", service, "redis-admin", "ACL", "SETUSER", u.name}, rules...)
		out, err := k.compose(ctx, args...)
		if err != nil {
			return err
		}
		if strings.TrimSpace(out) != "OK" { // redis-cli exits with 0 even if the server refuses
			return fmt.Errorf("%s refused: %s", service, strings.TrimSpace(out))
		}
	}
	return nil
}

func isRedis(service string) bool { return slices.Contains(hosts, service) }

func (k kit) running(ctx context.Context) ([]string, error) {
	out, err := k.compose(ctx, "ps", "--services", "--status", "running")
	return strings.Fields(out), err
}

func (k kit) compose(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", append([]string{"compose"}, args...)...)
	cmd.Dir = k.dir
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("docker compose %s: %w", args[0], err)
	}
	return string(out), nil
}
