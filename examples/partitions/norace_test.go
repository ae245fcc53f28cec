//go:build !race

package partitions

const raceEnabled = false
