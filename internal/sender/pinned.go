package sender

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// maxRedirects bounds how often commands follow MOVED and ASK, as go-redis does.
const maxRedirects = 3

// sendPinned sends cmds to the primary of key. Where that one says that the slot is
// elsewhere, the command that was redirected and all that follow it go there
// together. Those before it were answered, and those that were redirected did not
// run; a command without a key, such as WAIT, may run at both places.
func (s *Sender) sendPinned(ctx context.Context, key string, cmds []redis.Cmder) {
	primary, err := PrimaryOf(ctx, s.rdb, key)
	if err != nil {
		fail(cmds, err)
		return
	}
	Send(ctx, primary, Pinned, cmds...)
	for range maxRedirects {
		i, addr, ask := redirected(cmds)
		if i < 0 {
			break
		}
		s.cluster.ReloadState(ctx)
		cmds = cmds[i:]
		redirect := cmds[0].Err()
		primary := s.known(ctx, addr)
		if primary == nil { // the Cluster client itself may get to know that primary
			fail(cmds[1:], redirect)
			Send(ctx, s.cluster, Pinned, cmds[0])
			return
		}
		for _, cmd := range cmds {
			cmd.SetErr(nil)
		}
		if ask {
			Send(ctx, primary, Pinned, withAsking(ctx, cmds)...)
		} else {
			Send(ctx, primary, Pinned, cmds...)
		}
	}
	if err := firstError(cmds); err != nil && !errors.Is(err, redis.Nil) {
		// Another primary may have taken over, and no server redirects a command that
		// has no key: look at the map now, not at the next periodic reload.
		s.cluster.ReloadState(ctx)
	}
}

// withAsking puts ASKING, which is for the next command alone, before each of cmds.
func withAsking(ctx context.Context, cmds []redis.Cmder) []redis.Cmder {
	asking := make([]redis.Cmder, 0, 2*len(cmds))
	for _, cmd := range cmds {
		asking = append(asking, redis.NewCmd(ctx, "asking"), cmd)
	}
	return asking
}

// redirected returns the first of cmds that was answered with MOVED or ASK, and
// where to; i is -1 if none was.
func redirected(cmds []redis.Cmder) (i int, addr string, ask bool) {
	for i, cmd := range cmds {
		if addr, moved := redis.IsMovedError(cmd.Err()); moved {
			return i, addr, false
		}
		if addr, ask := redis.IsAskError(cmd.Err()); ask {
			return i, addr, true
		}
	}
	return -1, "", false
}

// known returns the client of the primary at addr, or nil if the Cluster client does
// not know it yet.
func (s *Sender) known(ctx context.Context, addr string) *redis.Client {
	for primary, err := range Primaries(ctx, s.rdb) {
		if primary, ok := primary.(*redis.Client); ok && err == nil && primary.Options().Addr == addr {
			return primary
		}
	}
	return nil
}
