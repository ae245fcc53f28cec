package session

import "sync/atomic"

// Stats counts what a Store has done since New, in this process.
type Stats struct {
	Creates     uint64 // sessions created
	Puts        uint64 // sessions stored by Put
	Gets        uint64 // sessions read
	Touches     uint64 // sessions touched
	Updates     uint64 // sessions updated
	Transitions uint64 // transitions won
	Deletes     uint64 // ids deleted, whether there was a session or not

	NotFound  uint64 // calls that found no session
	Corrupt   uint64 // hashes that were no session
	Conflicts uint64 // transitions that found another value
	Retries   uint64 // runs of an update's fn that met another writer

	Resent      uint64 // changes sent again because their reply was lost
	Uncertain   uint64 // changes whose outcome stayed open
	RedisErrors uint64 // round trips that Redis did not answer, or with an error

	Unreplicated uint64 // changes that were made, and are counted above, but returned ErrUnreplicated
}

type counters struct {
	creates, puts, gets, touches, updates, transitions, deletes atomic.Uint64
	notFound, corrupt, conflicts, retries                       atomic.Uint64
	resent, uncertain, unreplicated                             atomic.Uint64
}

func (c *counters) snapshot(redisErrors uint64) Stats {
	return Stats{
		Creates:     c.creates.Load(),
		Puts:        c.puts.Load(),
		Gets:        c.gets.Load(),
		Touches:     c.touches.Load(),
		Updates:     c.updates.Load(),
		Transitions: c.transitions.Load(),
		Deletes:     c.deletes.Load(),
		NotFound:    c.notFound.Load(),
		Corrupt:     c.corrupt.Load(),
		Conflicts:   c.conflicts.Load(),
		Retries:     c.retries.Load(),
		Resent:      c.resent.Load(),
		Uncertain:   c.uncertain.Load(),
		RedisErrors: redisErrors,

		Unreplicated: c.unreplicated.Load(),
	}
}
