package ratelimit

import (
	"context"
	"fmt"

	"github.com/convkit/rediskit/internal/keys"
)

// WhenDown is how a Limiter decides when Redis does not.
type WhenDown int

const (
	// FailOpen allows every request.
	FailOpen WhenDown = iota

	// FailClosed denies every request, with a RetryAfter of one second.
	FailClosed

	// Local applies the policies in this process alone, with counts that begin empty:
	// n processes together allow up to n times the limit. It remembers 65,536 ids at
	// most, long ones by a digest. Beyond that, ids lose their counts.
	Local
)

// Config says where a Limiter counts, and what it does without Redis. Key has no
// default; every other field may stay zero.
type Config struct {
	// Key is the pattern of the limiter's keys: text with one '*', which the id
	// replaces, such as "rate_limit:*". Limiters whose counts must not mix need
	// different patterns. Required.
	Key string

	// WhenDown decides while Redis is down, slow or full, or refuses for now. What only a
	// change of the configuration mends, such as a missing permission, is an error. FailOpen is wrong
	// where a limit protects a secret, as at a login. Defaults to FailOpen.
	WhenDown WhenDown

	// DenyCache is how many denied ids are remembered in this process, from 1 to
	// 1,048,576. A denied id then does not reach Redis again before its RetryAfter.
	// Each takes about 200 bytes and its id; a long id is kept as a digest. Defaults
	// to 0, none.
	DenyCache int

	// NoPipelining sends each script by itself. Otherwise calls of this limiter share
	// round trips while five or more of them are under way, and those of one id that
	// wait at the same time are one call of the script: hooks of the client then see
	// pipelines, with a context of their own. Defaults to false.
	NoPipelining bool

	// Name stands for this limiter in errors and metrics. Defaults to Key.
	Name string

	// OnError receives the reason why Redis did not decide, each time that WhenDown
	// decides instead. It is called on the failure path only, possibly from several
	// goroutines at once, and must not block. Defaults to nil: the errors are dropped.
	OnError func(context.Context, error)
}

// maxDenyCache catches mistakes: a million remembered ids take some 250 MB.
const maxDenyCache = 1 << 20

// complete checks c and fills in its defaults.
func (c Config) complete() (Config, keys.Pattern, error) {
	pattern, err := keys.Parse(c.Key)
	if err != nil {
		return c, pattern, fmt.Errorf("ratelimit: Config.Key %w", err)
	}
	if c.WhenDown < FailOpen || c.WhenDown > Local {
		return c, pattern, fmt.Errorf("ratelimit: Config.WhenDown is %d; it must be FailOpen, FailClosed or Local", c.WhenDown)
	}
	if c.DenyCache < 0 || c.DenyCache > maxDenyCache {
		return c, pattern, fmt.Errorf("ratelimit: Config.DenyCache is %d; it must be from 1 to %d, or 0 for none", c.DenyCache, maxDenyCache)
	}
	if c.Name == "" {
		c.Name = c.Key
	}
	return c, pattern, nil
}
