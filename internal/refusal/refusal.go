// Package refusal says what an error reply means by which a server refuses a command
// for a reason of its own: its state, its memory, its rules. One table answers for all
// packages. An error that is about the command's own key or arguments, such as WRONGTYPE
// or CROSSSLOT, is no refusal.
//
// The package imports no other package of this module, so that every one may use it.
package refusal

import (
	"errors"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// A Refusal is one row of the table.
type Refusal struct {
	// Words begin the reply.
	Words string
	// Alive means that the server serves, though not this command: as the answer to a
	// PING it is a sign of life. If false, the server cannot serve yet.
	Alive bool
	// Passes means that the reason may end by itself, or by what an operator does at the
	// server, so that it helps to wait. If false, the same command gets the same reply
	// until somebody changes the program, its settings or its rights.
	Passes bool
	// MayHaveRun means that a script was stopped in its midst and may have written
	// before. If false, the command did nothing.
	MayHaveRun bool
}

// table holds the longer words before those that they begin with.
//
// Redis checks its memory, its disk, its replicas and its role before a script's first
// write and not after that. So only what it checks at every command stops a script that
// has written.
var table = []Refusal{
	{Words: "LOADING", Passes: true},                 // it reads its file, or its primary's
	{Words: "MASTERDOWN", Passes: true},              // a replica whose primary is away
	{Words: "CLUSTERDOWN", Passes: true},             // a slot has no primary, or this node is in the minority
	{Words: "max number of clients", Passes: true},   // no connection is free
	{Words: "BUSY", Alive: true, Passes: true},       // a script of somebody's takes long
	{Words: "MISCONF", Alive: true, Passes: true},    // a snapshot or the AOF cannot be written
	{Words: "NOREPLICAS", Alive: true, Passes: true}, // fewer than min-replicas-to-write
	{Words: "OOM", Alive: true, Passes: true},        // maxmemory is used up
	{Words: "READONLY", Alive: true, Passes: true},   // a primary that was demoted
	{Words: "TRYAGAIN", Alive: true, Passes: true},   // the keys of a slot that moves are at two nodes
	{Words: "MOVED", Alive: true, Passes: true},      // the slot is another node's
	{Words: "ASK", Alive: true, Passes: true},        // the slot is about to be another node's
	{Words: "UNBLOCKED", Alive: true, Passes: true},  // a command waited at a primary that was demoted
	{Words: "NOAUTH", Alive: true},                   // no password was sent
	{Words: "WRONGPASS", Alive: true},                // the password or the user is wrong
	{Words: "DENIED", Alive: true},                   // protected mode
	{Words: "unknown command", Alive: true},          // renamed, or newer than the server
	{Words: "NOPERM ACL failure in script", Alive: true, MayHaveRun: true},
	{Words: "NOPERM The user executing the script", Alive: true, MayHaveRun: true}, // Redis 6
	{Words: "NOPERM", Alive: true},
	{Words: "ACL failure in script", Alive: true, MayHaveRun: true},         // since Redis 7.2, and Valkey
	{Words: "The user executing the script", Alive: true, MayHaveRun: true}, // Redis 7.0
	{Words: "Unknown Redis command", Alive: true, MayHaveRun: true},         // in a script
}

// All returns the table.
func All() []Refusal { return slices.Clone(table) }

// Of returns the refusal that err is, or wraps. It is false for any other error, for
// redis.Nil, and for a reply that the table does not have.
func Of(err error) (Refusal, bool) {
	var reply redis.Error
	if !errors.As(err, &reply) || errors.Is(reply, redis.Nil) {
		return Refusal{}, false
	}
	text := strings.TrimPrefix(reply.Error(), "ERR ")
	if strings.HasPrefix(text, "Error running script") { // before Redis 7 the reason comes last
		if _, reason, found := strings.Cut(text, ": -"); found {
			text = reason
		}
	}
	for _, row := range table {
		if rest, ok := strings.CutPrefix(text, row.Words); ok && endsWord(rest) {
			return row, true
		}
	}
	return Refusal{}, false
}

// Passes reports whether err is a refusal that passes.
func Passes(err error) bool {
	r, _ := Of(err)
	return r.Passes
}

// endsWord reports whether a word ends before rest: BUSYGROUP is not BUSY.
func endsWord(rest string) bool {
	return rest == "" || rest[0]|0x20 < 'a' || rest[0]|0x20 > 'z'
}
