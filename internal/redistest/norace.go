//go:build !race

package redistest

// RaceEnabled reports whether the race detector is on, which makes a test ten times slower.
const RaceEnabled = false
