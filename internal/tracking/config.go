package tracking

import (
	"errors"
	"fmt"
	"time"
)

// defaultAgain is Config.Again if that is zero.
const defaultAgain = time.Minute

// Config is how a Tracker behaves and reports.
//
// OnInvalidate runs on the goroutine that reads a primary's connection. Those of
// several primaries may run at once.
type Config struct {
	// Prefix begins the keys that are followed. Defaults to "": all keys.
	Prefix string

	// OnInvalidate receives each key that was written, deleted or evicted, and each
	// that expired, some time after it expired. Required.
	OnInvalidate func(key string)

	// OnError receives each loss of a connection, each failed attempt to restore it,
	// each refusal, and panics, as a *life.PanicError. The errors carry no data.
	// Required.
	OnError func(error)

	// Untracked gives primaries that refuse to track an epoch without an end.
	// Defaults to false: they have no epoch.
	Untracked bool

	// Again is after how long a primary that refused is asked again. More than 0.
	// Defaults to a minute.
	Again time.Duration
}

// complete checks c and fills in its defaults.
func (c Config) complete() (Config, error) {
	switch {
	case c.OnInvalidate == nil:
		return c, errors.New("tracking: Config.OnInvalidate is nil; it must be a function")
	case c.OnError == nil:
		return c, errors.New("tracking: Config.OnError is nil; it must be a function")
	case c.Again < 0:
		return c, fmt.Errorf("tracking: Config.Again is %v; it must be more than 0, or 0 for %v", c.Again, defaultAgain)
	case c.Again == 0:
		c.Again = defaultAgain
	}
	return c, nil
}
