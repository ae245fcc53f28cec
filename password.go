package rediskit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/convkit/rediskit/secrets"
)

// credentials reads the password for each new connection. It keeps the last good one,
// and uses it while the password cannot be read.
type credentials struct {
	username string
	source   secrets.Source
	onError  func(context.Context, error)

	mu         sync.Mutex
	good       secrets.Secret
	reported   string // the last error that OnError received, and when
	reportedAt time.Time
}

// An empty source does not remove the password: connections without a password would
// stay in the pool, and Redis would refuse every command on them.
var errPasswordGone = errors.New("the source yields no password any more: take the user's password away in Redis's ACL instead")

// first reads the password for the first time. If that fails, Connect fails.
func (c *credentials) first(ctx context.Context) error {
	secret, err := c.source.Read(ctx)
	if err != nil {
		return fmt.Errorf("rediskit: Config.Password: %w", err)
	}
	if secret.IsZero() && c.username != "" {
		return errors.New("rediskit: Config.Username is set without a password: set Config.Password")
	}
	c.good = secret
	return nil
}

// get is go-redis's CredentialsProviderContext.
func (c *credentials) get(ctx context.Context) (username, password string, err error) {
	secret, err := c.source.Read(ctx)

	c.mu.Lock()
	if err == nil && secret.IsZero() && !c.good.IsZero() {
		err = errPasswordGone
	}
	if err == nil {
		c.good = secret
		c.reported = ""
	} else {
		secret = c.good
	}
	report := err != nil && ctx.Err() == nil && (err.Error() != c.reported || time.Since(c.reportedAt) >= time.Minute)
	if report {
		c.reported, c.reportedAt = err.Error(), time.Now()
	}
	c.mu.Unlock()

	if report {
		c.onError(ctx, fmt.Errorf("rediskit: the last good password is used: %w", err))
	}
	return c.username, secret.Reveal(), nil
}
