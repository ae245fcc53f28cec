package session

import "errors"

var (
	// ErrNotFound is returned for an id that has no session, or has none any more.
	ErrNotFound = errors.New("session: not found")

	// ErrExists is returned by Create for an id that has a session.
	ErrExists = errors.New("session: exists already")

	// ErrConflict is what a *ConflictError is. Update returns it, joined with
	// the context's error, when its context ended while other writers kept
	// changing the session.
	ErrConflict = errors.New("session: conflict")

	// ErrCorrupt is returned for a hash that is no S: a required field is
	// missing, or a text does not fit its field, which the error names.
	// The hash is still there: the program that wrote it may mend it, or Put or
	// Delete may replace or remove it.
	ErrCorrupt = errors.New("session: corrupt")

	// ErrInvalid is returned for an S that cannot be stored, before anything
	// is sent: a required field has no value, no field has, or one has no
	// text.
	ErrInvalid = errors.New("session: invalid")

	// ErrWrongType is returned when the key of an id holds something other
	// than a hash. Nothing was changed: another program uses this key.
	ErrWrongType = errors.New("session: the key holds something other than a hash; choose another Config.Key, or look for the program that writes there")

	// ErrUncertain is returned when it is open whether a change was made: its reply
	// was lost, and so was the reply to the second copy, or that one was refused since
	// the server's clock had stepped or this machine had been suspended. The change may
	// still be made, for about ten seconds by the server's clock, and is made once at
	// most. Or the user lacks a permission that the package's documentation names, and
	// Redis stopped the change in its midst: a part of it may have been made.
	ErrUncertain = errors.New("session: it is open whether the change was made")

	// ErrUnreplicated is returned when a change was made, but fewer replicas than
	// Config.Replicas.N had it in time, or the reply that says how many was lost. The
	// change is in force, and replicas get it once they follow again; a failover before
	// that loses it. Methods that return a session return the new one beside this error.
	//
	// Do not repeat the call: the change would be made twice. Only a Delete may be
	// repeated until it is acknowledged. As long as no failover comes between, any later
	// change of the session that is acknowledged acknowledges this one, too.
	ErrUnreplicated = errors.New("session: the change was made, but was not replicated in time; do not repeat it")

	// ErrEmptyID is returned for an empty id, before anything is sent.
	ErrEmptyID = errors.New("session: empty id")
)

var errNoFunction = errors.New("session: the function is nil")

// A ConflictError says that a transition did not take place, because the field
// had another value than the one it begins with. It is an ErrConflict.
type ConflictError[F any] struct {
	// Now is the value that the field had instead. It may be anybody's data,
	// so it is not part of the error's text.
	Now F
}

func (e *ConflictError[F]) Error() string {
	return ErrConflict.Error() + ": the field has another value than the transition begins with; ConflictError.Now says which"
}

// Is makes every ConflictError an ErrConflict.
func (e *ConflictError[F]) Is(target error) bool { return target == ErrConflict }
