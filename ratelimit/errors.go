package ratelimit

import "errors"

var (
	// ErrEmptyID is returned for an empty id, before anything is sent.
	ErrEmptyID = errors.New("ratelimit: empty id")

	// ErrNotPositive is returned by AllowN for an n below 1, before anything is sent:
	// no request is free, and no charge can be given back.
	ErrNotPositive = errors.New("ratelimit: n must be at least 1")

	// ErrExceedsLimit is returned by AllowN for an n above the smallest limit of the
	// limiter's policies, before anything is sent: however long the caller waits, it
	// will not be allowed.
	ErrExceedsLimit = errors.New("ratelimit: n exceeds the limit, so waiting never helps")

	// ErrNotCounter is returned when a key of the limiter holds something other than a
	// count. The key is left as it is, and no decision is made, not even by
	// Config.WhenDown. Find the program that writes the key; Reset removes it.
	ErrNotCounter = errors.New("ratelimit: the key holds something other than a count; find the program that writes it, or Reset the id")

	// ErrKey is passed to MiddlewareConfig.Failed, around the error of
	// MiddlewareConfig.Key, for a request that has no key.
	ErrKey = errors.New("ratelimit: the request has no key")
)
