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

// replace makes a new password valid beside the old one and puts it where clients
// read it. First come the servers, then their ACL files, for a restart meanwhile,
// and last the password's file: whoever reads that one can use what it says.
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
	if u.name == "exporter" && slices.Contains(services, "redis-exporter") { // it reads its file when it starts
		if _, err := k.compose(ctx, "restart", "redis-exporter"); err != nil {
			return err
		}
	}
	fmt.Printf("%s: new; the old password is valid, too\n", k.secret(u.file))
	return nil
}

func wait(ctx context.Context, grace time.Duration, u user) error {
	fmt.Printf("waiting %v for clients to read it\n", grace)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("interrupted; the old password is valid until: go run ./passwords retire %s", u.name)
	}
}

// retire leaves the user the password that its file has, and no other. Connections
// that were made with another one stay.
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
	// In one command, so that there is no moment without a password.
	if err := k.setUser(ctx, services, u, "resetpass", hash(password)); err != nil {
		return err
	}
	fmt.Printf("%s: the only password of %s\n", k.secret(u.file), u.name)
	return nil
}

// setUser changes the user where Redis runs. It is the servers' memory that
// changes; ACL LOAD would do it from the file, and cut every connection of the
// user, subscriptions included.
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
		if strings.TrimSpace(out) != "OK" { // redis-cli succeeds whatever the server says
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
