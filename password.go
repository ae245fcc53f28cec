package rediskit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/convkit/rediskit/secrets"
)

// credentials reads the password for each new connection and remembers the last
// good one for the times when it cannot be read.
type credentials struct {
	username string
	source   secrets.Source
	onError  func(context.Context, error)

	mu       sync.Mutex
	good     secrets.Secret
	told     string // the last error told, and when
	toldTime time.Time
}

// A password is not taken away by leaving it out: connections without one would
// stay in the pool, refused by every command.
var errPasswordGone = errors.New("the source yields no password any more: take the user's password away in Redis's ACL instead")

// first reads the password for the first time; here its absence is final.
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
		c.told = ""
	} else {
		secret = c.good
	}
	tell := err != nil && ctx.Err() == nil && (err.Error() != c.told || time.Since(c.toldTime) >= time.Minute)
	if tell {
		c.told, c.toldTime = err.Error(), time.Now()
	}
	c.mu.Unlock()

	if tell {
		c.onError(ctx, fmt.Errorf("rediskit: the last good password is used: %w", err))
	}
	return c.username, secret.Reveal(), nil
}
