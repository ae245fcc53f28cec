package session

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/convkit/rediskit/internal/hashcodec"
)

// A Field is one field of the sessions of a store, such as their state, that transitions
// change. Make it with FieldOf, once.
type Field[F, S any] struct {
	store *Store[S]
	field hashcodec.Field
}

// FieldOf returns the field that is called name in the hash and has the type F
// in S. The field must always have a text: no pointer, no time.Time, no
// omitempty.
//
//	state, err := session.FieldOf[State](sessions, "state")
func FieldOf[F, S any](s *Store[S], name string) (*Field[F, S], error) {
	if s == nil {
		return nil, errors.New("session: FieldOf needs a store; pass the one that New returned")
	}
	for _, f := range s.codec.Fields() {
		switch want := reflect.TypeFor[F](); {
		case f.Name != name:
		case f.Type != want:
			return nil, fmt.Errorf("session: FieldOf: field %s is a %v, not a %v", f.Go, f.Type, want)
		case !f.Always():
			return nil, fmt.Errorf("session: FieldOf: field %s may have no text; a transition needs a field that is no pointer, no time.Time and not omitempty", f.Go)
		default:
			return &Field[F, S]{s, f}, nil
		}
	}
	return nil, fmt.Errorf("session: FieldOf: %v has no field that is called so in its redis tag", reflect.TypeFor[S]())
}

// Transition changes the field of the session of id from one value to another
// and returns the session as it is then. Of all that try at once, exactly one
// succeeds; the others get a *ConflictError[F] with the value that the field has. No
// session is ErrNotFound. A field that is missing has its zero value. Otherwise from is
// compared as text: "07", as another program may write it, is not 7.
//
// Like Touch, it gives the session its TTL anew and stamps its field tagged
// touch. On ErrCorrupt the transition was made, but another field is not what
// S wants. On ErrUnreplicated it was made, too, and the session is returned
// beside the error. If the reply was lost, the session that is returned may show
// what came after, and is ErrNotFound if it ended meanwhile.
//
// To leave one of several values, or to change more than one field, use
// Update: it costs one round trip more.
//
// One round trip: a script of HGETALL, HSET and PEXPIRE, and WAIT with
// Config.Replicas.
func (f *Field[F, S]) Transition(ctx context.Context, id string, from, to F) (S, error) {
	const op = "transition"
	s := f.store
	old, err := f.text(&from)
	if err != nil {
		return *new(S), err
	}
	next, err := f.text(&to)
	if err != nil {
		return *new(S), err
	}
	r, err := s.changes.run(ctx, operation{
		name: op, id: id, script: transitionScript,
		args: []any{f.field.Name, old, reflect.ValueOf(&from).Elem().IsZero(), next},
	})
	switch {
	case err != nil:
		return *new(S), err
	case r.status != conflict:
		return s.changed(op, r, &s.stats.transitions)
	}
	s.stats.conflicts.Add(1)
	lost := &ConflictError[F]{}
	if text, ok := r.hash[f.field.Name]; ok {
		if err := f.field.Parse(text, reflect.ValueOf(&lost.Now).Elem()); err != nil {
			s.stats.corrupt.Add(1)
			return *new(S), s.report.Fail(op, fmt.Errorf("%w: %w", ErrCorrupt, err))
		}
	}
	return *new(S), s.report.Fail(op, lost)
}

func (f *Field[F, S]) text(v *F) (string, error) {
	text, err := f.field.Text(reflect.ValueOf(v).Elem())
	if err != nil {
		return "", f.store.report.Fail("transition", fmt.Errorf("%w: %w", ErrInvalid, err))
	}
	return text.Value, nil
}
