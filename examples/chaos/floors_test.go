package chaos

import "time"

// A floor is the lowest version that a read may return if it begins after from.
type floor struct {
	from    time.Time
	version int64
}

// Floors are the floors of one value, in the order of their times.
type floors []floor

// at returns the floor of reads that begin then.
func (f floors) at(then time.Time) floor {
	for i := len(f) - 1; i >= 0; i-- {
		if f[i].from.Before(then) {
			return f[i]
		}
	}
	return floor{}
}

// raise records that version exists now. An older version may be recorded after it.
func (f *floors) raise(now time.Time, version int64) {
	if n := len(*f); n > 0 {
		version = max(version, (*f)[n-1].version)
	}
	*f = append(*f, floor{now, version})
}
