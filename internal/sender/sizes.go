package sender

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// large is the size, in bytes, from which a reply does not share a pipeline: its
// round trip is a small part of its cost by then, and the others would wait for it.
const large = 64 << 10

// largeArguments is the size from which arguments do not share one. A pipeline is written
// as a whole before its first reply is read.
const largeArguments = 16 << 10

// sizes remembers how large replies were: the mean of all, and the keys that had
// large ones. So only the first large reply of a key shares a pipeline. A nil sizes
// remembers nothing and expects small replies.
type sizes struct {
	seed maphash.Seed
	keys [1024]atomic.Uint64 // hashes of keys with large replies, each at the index that its hash gives
	mean atomic.Int64        // size of one value, over the last few dozen
}

func newSizes() *sizes { return &sizes{seed: maphash.MakeSeed()} }

// small reports whether the replies to cmds are expected to be small.
func (s *sizes) small(key string, cmds []redis.Cmder) bool {
	if s == nil {
		return true
	}
	n := values(cmds)
	if n == 0 {
		return true
	}
	hash := maphash.String(s.seed, key)
	return s.mean.Load()*n < large && s.place(hash).Load() != hash
}

// note remembers how large the replies to cmds were.
func (s *sizes) note(key string, cmds []redis.Cmder) {
	if s == nil {
		return
	}
	n := values(cmds)
	if n == 0 {
		return
	}
	size := int64(0)
	for _, cmd := range cmds {
		size += bytes(cmd)
	}
	mean := s.mean.Load()
	if next := mean + (size/n-mean)/16; next != mean {
		s.mean.Store(next) // a lost update does not matter
	}
	hash := maphash.String(s.seed, key)
	switch place := s.place(hash); {
	case size >= large:
		place.Store(hash)
	case place.Load() == hash:
		place.Store(0)
	}
}

func (s *sizes) place(hash uint64) *atomic.Uint64 { return &s.keys[hash%uint64(len(s.keys))] }

// fit returns how many commands a pipeline may have, and how many values it may ask for.
func (s *sizes) fit() int {
	if s == nil {
		return maxCommands
	}
	return int(max(1, min(maxCommands, maxBytes/max(1, s.mean.Load()))))
}

// values returns how many values cmds ask for.
func values(cmds []redis.Cmder) int64 {
	n := 0
	for _, cmd := range cmds {
		switch cmd := cmd.(type) {
		case *redis.StringCmd, *redis.MapStringStringCmd:
			n++
		case *redis.SliceCmd: // MGET
			n += len(cmd.Args()) - 1
		}
	}
	return int64(n)
}

// bytes returns the size of the reply to cmd.
func bytes(cmd redis.Cmder) int64 {
	n := 0
	switch cmd := cmd.(type) {
	case *redis.StringCmd:
		n = len(cmd.Val())
	case *redis.MapStringStringCmd:
		for name, value := range cmd.Val() {
			n += len(name) + len(value)
		}
	case *redis.SliceCmd:
		for _, value := range cmd.Val() {
			text, _ := value.(string)
			n += len(text)
		}
	}
	return int64(n)
}

// argumentBytes returns the size of the long arguments of cmds, which are texts.
func argumentBytes(cmds []redis.Cmder) int {
	size := 0
	for _, cmd := range cmds {
		for _, arg := range cmd.Args() {
			switch arg := arg.(type) {
			case string:
				size += len(arg)
			case []byte:
				size += len(arg)
			}
		}
	}
	return size
}
