package ratelimit

import "errors"

var (
	// ErrEmptyID is returned for an empty id, before anything is sent.
	ErrEmptyID = errors.New("ratelimit: empty id")

	// ErrNotPositive is returned by AllowN for an n below 1, before anything
	// is sent: nothing is free, and nothing is given back.
	ErrNotPositive = errors.New("ratelimit: n must be at least 1")

	// ErrExceedsLimit is returned by AllowN for an n above the smallest limit
	// of the limiter's policies, before anything is sent: however long the
	// caller waits, it will not be allowed.
	ErrExceedsLimit = errors.New("ratelimit: n exceeds the limit, so waiting never helps")

	// ErrNotCounter is returned when a key of the limiter holds something
	// else than a count. It is left alone, and no decision is made: not by
	// Config.WhenDown either. Find who writes there; Reset removes it.
	ErrNotCounter = errors.New("ratelimit: the key holds something that is no count; find who writes there, or Reset the id")

	// ErrKey is passed to MiddlewareConfig.Failed, around the error of
	// MiddlewareConfig.Key, for a request that has no key.
	ErrKey = errors.New("ratelimit: the request has no key")
)
