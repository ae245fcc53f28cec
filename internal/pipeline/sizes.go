package pipeline

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// large is the size from which a reply is kept out of pipelines, in bytes: by
// then its round trip is a small part of it, and others would wait for it.
const large = 64 << 10

// sizes remembers how large replies were: of all on average, and which keys
// had large ones. The first large reply of a key is a surprise, the next ones
// are not.
type sizes struct {
	seed maphash.Seed
	keys [1024]atomic.Uint64 // hashes of keys, each in the place that its hash has
	mean atomic.Int64        // of one value, over the last few dozen
}

func newSizes() *sizes { return &sizes{seed: maphash.MakeSeed()} }

// small says whether the replies to cmds are expected to be small.
func (s *sizes) small(key string, cmds []redis.Cmder) bool {
	n := values(cmds)
	if n == 0 {
		return true
	}
	hash := maphash.String(s.seed, key)
	return s.mean.Load()*n < large && s.place(hash).Load() != hash
}

// note remembers how large they were.
func (s *sizes) note(key string, cmds []redis.Cmder) {
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
		s.mean.Store(next) // one that is lost does not matter
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

// fit is how many commands a pipeline may have, and how many values it may ask for.
func (s *sizes) fit() int {
	return int(max(1, min(mostCommands, mostBytes/max(1, s.mean.Load()))))
}

// values is how many values cmds ask for whose size counts.
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

// bytes is the size of what cmd was answered.
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
