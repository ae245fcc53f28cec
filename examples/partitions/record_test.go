package partitions

// Times are in nanoseconds since 1970. Both processes run on one machine.

// A record is what a client has seen.
type record struct {
	Calls   []call
	Dials   []dial
	Reads   map[int]int64 // by version: when the last read that returned it began
	Events  []event       // what arrived, in that order
	Sent    []message     // what this client has published in rediskit's channel, and Redis has confirmed
	Waited  int64         // when the waiter had the lock; 0 if it did not get it
	Trusted []span        // when the holder trusted its lock
	Error   string        // of the last call that failed
}

// A call is one SET of a key that no other call writes.
type call struct {
	Caller, N  int
	Start, End int64
	OK         bool
}

type dial struct {
	At   int64
	Addr string
}

// An event is a message, or a gap among them if From is empty.
type event struct {
	At   int64
	From string
	N    int
}

// A message is one that was published and confirmed. Its publisher counts them.
type message struct {
	N     int
	Start int64 // when it was sent
}

type span struct{ From, To int64 }
