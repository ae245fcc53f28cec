package cache

import (
	"fmt"
	"time"
)

// Local makes a cache keep values in this process too. Redis itself announces which of
// them change, whichever program changes them, on a connection of its own to each
// primary. While that connection is down, reads go to Redis as without Local. The package
// documentation says what becomes of the guarantees.
type Local struct {
	// MaxEntries is the greatest number of values to keep, from 1 to 16,777,216.
	// Each takes its own size, encoded or with ReadOnly decoded, and about
	// 150 bytes. Defaults to 0, off.
	MaxEntries int

	// MaxAge is how long a value answers before it is read from Redis again,
	// whatever happens to the connection that announces changes; at least 1 ms. A
	// value's own TTL, less RefreshAhead, may end it earlier. Defaults to one
	// minute.
	MaxAge time.Duration

	// ReadOnly gives all callers the same decoded value, so that a hit decodes
	// nothing. No caller may change what the value points to: the elements of its
	// slices, maps and pointers. Defaults to false: each caller gets its own value.
	ReadOnly bool

	// Untracked keeps values even if the server refuses to announce changes,
	// because it cannot or an ACL forbids it. Changes by other processes are then
	// seen after up to MaxAge. Defaults to false: nothing is kept then.
	Untracked bool
}

const (
	defaultMaxAge = time.Minute
	maxMaxEntries = 1 << 24
)

func (l Local) complete() (Local, error) {
	switch {
	case l == Local{}:
		return l, nil
	case l.MaxEntries < 1 || l.MaxEntries > maxMaxEntries:
		return l, fmt.Errorf("cache: Config.Local.MaxEntries is %d; it must be from 1 to %d, or all of Local zero for none", l.MaxEntries, maxMaxEntries)
	case l.MaxAge == 0:
		l.MaxAge = defaultMaxAge
	case l.MaxAge < time.Millisecond:
		return l, fmt.Errorf("cache: Config.Local.MaxAge is %v; it must be at least 1ms, or 0 for its default", l.MaxAge)
	}
	return l, nil
}

// A LocalState is the state of Config.Local; on a Cluster that of the primary that is
// worst off.
type LocalState int

// The states of Config.Local.
const (
	LocalOff        LocalState = iota // not configured
	LocalConnecting                   // bypassed: the connection that announces changes is down, or not made yet
	LocalRefused                      // bypassed: the server refuses to announce changes
	LocalUntracked                    // the same with Local.Untracked: values answer for MaxAge
	LocalTracking                     // in use
)

// String is "off", "connecting", "refused", "untracked" or "tracking".
func (s LocalState) String() string {
	switch s {
	case LocalOff:
		return "off"
	case LocalConnecting:
		return "connecting"
	case LocalRefused:
		return "refused"
	case LocalUntracked:
		return "untracked"
	case LocalTracking:
		return "tracking"
	}
	return fmt.Sprintf("LocalState(%d)", int(s))
}
