//go:build race

package partitions

const raceEnabled = true
