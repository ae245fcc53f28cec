package session

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/report"
	"github.com/convkit/rediskit/internal/sender"
)

// untilField holds the end of a session by MaxLifetime.
const untilField = "_until"

// read sends one HGETALL.
func (s *Store[S]) read(ctx context.Context, op, id string) (map[string]string, error) {
	if err := ready(ctx, s.report, op, id); err != nil {
		return nil, err
	}
	key := s.pattern.Key(id)
	cmd := redis.NewMapStringStringCmd(ctx, "hgetall", key)
	err := s.sender.Do(ctx, sender.Read, key, cmd)
	if err == nil {
		err = cmd.Err()
	}
	if err != nil {
		return nil, failed(ctx, s.report, op, err)
	}
	return cmd.Val(), nil
}

// ended reports whether a session is older than its MaxLifetime.
func (s *Store[S]) ended(hash map[string]string) bool {
	text, ok := hash[untilField]
	if !ok {
		return false
	}
	deadline, err := strconv.ParseUint(text, 10, 63)
	return err == nil && int64(deadline) <= s.clock.now()
}

// ready returns why a call may not go ahead.
func ready(ctx context.Context, r *report.Reporter, op, id string) error {
	if id == "" {
		return r.Fail(op, ErrEmptyID)
	}
	if err := ctx.Err(); err != nil {
		return r.Fail(op, err)
	}
	return nil
}

func failed(ctx context.Context, r *report.Reporter, op string, err error) error {
	if isWrongType(err) {
		return r.Fail(op, ErrWrongType)
	}
	return r.Redis(ctx, op, err)
}

func isWrongType(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && strings.Contains(err.Error(), "WRONGTYPE ") // a script's is not always at the beginning
}
