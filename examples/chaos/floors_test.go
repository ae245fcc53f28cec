package chaos

import "time"

// A floor is what no reader that begins later may be below.
type floor struct {
	from    time.Time
	version int64
}

// Floors are those of one value, by rising time.
type floors []floor

// at is what holds for readers who begin then.
func (f floors) at(then time.Time) floor {
	for i := len(f) - 1; i >= 0; i-- {
		if f[i].from.Before(then) {
			return f[i]
		}
	}
	return floor{}
}

// raise says that version is there now. An older one may be told later.
func (f *floors) raise(now time.Time, version int64) {
	if n := len(*f); n > 0 {
		version = max(version, (*f)[n-1].version)
	}
	*f = append(*f, floor{now, version})
}
