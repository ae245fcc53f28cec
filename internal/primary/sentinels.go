package primary

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/convkit/rediskit/internal/sender"
)

const (
	// stragglers bounds the wait for further answers once most Sentinels have answered
	// and do not agree.
	stragglers = 50 * time.Millisecond
	// insistFor is how long a majority must name another server to be believed against
	// a greater epoch.
	insistFor = 2 * time.Second
	// fresh is for how long a look serves other dials too.
	fresh = 100 * time.Millisecond
)

// patience bounds the wait for the answers of a look: 200 ms of a time-out of 500 ms,
// so that one dead Sentinel leaves time for the dial.
func (c Config) patience() time.Duration { return c.Timeout * 2 / 5 }

var (
	// ErrUnknownName is the error of a dial if no Sentinel knows the name.
	ErrUnknownName error = safeError("no Sentinel knows the name of the primary")
	errNoSentinel  error = safeError("no Sentinel answers")
)

// A SentinelError is why the Sentinels did not say where the primary is.
type SentinelError struct{ err error }

func (e *SentinelError) Error() string { return "asking the Sentinels: " + e.err.Error() }
func (e *SentinelError) Unwrap() error { return e.err }

// Sentinels says which Sentinels know the primary.
type Sentinels struct {
	Name               string   // of the primary
	Addrs              []string // of some of them; they know the others
	Username, Password string   // at the Sentinels themselves
}

// NewSentinel returns a Watch of the primary that Sentinels name. It ignores the
// address that it is asked to dial.
//
// Each look asks all Sentinels at once, the configured ones and those that these know.
// The answer with the greatest configuration epoch counts. A Sentinel that was cut off
// has a lower one.
func NewSentinel(cfg Config, s Sentinels) *Watch {
	w := New(cfg)
	w.sentinels = &sentinels{
		Sentinels: s, dial: cfg.Dial, patience: cfg.patience(),
		turn: make(chan struct{}, 1), clients: map[string]*redis.Client{}, others: map[string]string{},
	}
	return w
}

// locate returns the address of the primary and when a majority of the Sentinels
// confirmed it, zero if none did. If another server counts than before, its term
// begins.
func (w *Watch) locate(ctx context.Context) (addr string, confirmed time.Time, err error) {
	seen, err := w.sentinels.look(ctx)
	w.mu.Lock()
	t := w.current
	switch {
	case err != nil && t == nil:
		w.mu.Unlock()
		return "", time.Time{}, &SentinelError{err}
	case err != nil: // the greeting will show whether the server is still a primary
	case t == nil, seen.addr != t.addr && (seen.epoch > t.epoch || w.sentinels.insist(seen, t)):
		w.begin(&term{addr: seen.addr, epoch: seen.epoch, began: seen.began})
	case seen.addr == t.addr:
		w.sentinels.insisting = time.Time{}
		t.epoch = max(t.epoch, seen.epoch)
	}
	addr = w.current.addr
	confirms := err == nil && seen.majority && seen.addr == addr
	w.mu.Unlock()
	if confirms {
		w.confirm(seen.began)
		return addr, seen.began, nil
	}
	return addr, time.Time{}, nil
}

// insist reports whether a majority has named another server than that of t for
// insistFor, with no greater epoch. Sentinels that were made anew do so: they count from
// 0. During a failover most of them do so for a moment, until they have heard of it. It
// needs the mutex of the Watch.
func (s *sentinels) insist(seen view, t *term) bool {
	switch {
	case !seen.majority || seen.began.Before(t.began):
		s.insisting = time.Time{}
	case s.insisting.IsZero():
		s.insisting = seen.began
	}
	return !s.insisting.IsZero() && seen.began.Sub(s.insisting) >= insistFor
}

// A view is what the Sentinels say together.
type view struct {
	addr     string // of the primary
	epoch    int64
	majority bool // more than half of all known Sentinels say so
	began    time.Time
}

// An answer is what one Sentinel says.
type answer struct {
	from   string // the address that was asked
	id     string // its own
	addr   string // of the primary
	epoch  int64
	others map[string]string // addresses of the other Sentinels by id
	err    error
}

type sentinels struct {
	Sentinels
	dial     DialFunc
	patience time.Duration
	turn     chan struct{} // holds a token while a look is under way

	// With the mutex of the Watch.
	insisting time.Time // since when a majority names another server; zero if none does

	// With the turn.
	last    view
	lastErr error

	mu      sync.Mutex
	clients map[string]*redis.Client // by address
	others  map[string]string        // addresses by id; "" if the Sentinel is configured
}

// look asks all Sentinels, unless that was just done.
func (s *sentinels) look(ctx context.Context) (view, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return view{}, context.Cause(ctx)
	}
	if time.Since(s.last.began) < fresh {
		return s.last, s.lastErr
	}
	began := time.Now()
	seen, err := s.ask(ctx)
	if err != nil {
		seen = view{epoch: s.last.epoch} // what was known stays known
	}
	seen.began = began
	s.last, s.lastErr = seen, err
	return seen, err
}

func (s *sentinels) ask(ctx context.Context) (view, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	addrs := s.addrs()
	replies := make(chan answer, len(addrs))
	for _, addr := range addrs {
		go func() { replies <- s.askOne(ctx, addr) }()
	}
	var answers []answer
	var late <-chan time.Time
	for range addrs {
		select {
		case a := <-replies:
			answers = append(answers, a)
		case <-late:
			return s.agree(answers)
		case <-ctx.Done():
			return s.agree(answers)
		}
		if v, err := s.agree(answers); err == nil && v.majority && v.epoch >= s.last.epoch {
			return v, nil
		}
		if late == nil && s.most(answers) {
			late = time.After(stragglers)
		}
	}
	return s.agree(answers)
}

// most reports whether most of the known Sentinels have answered.
func (s *sentinels) most(answers []answer) bool {
	n := 0
	for _, a := range answers {
		if a.err == nil {
			n++
		}
	}
	return n > s.count(answers)/2
}

// count returns how many Sentinels there are, as far as the answers tell.
func (s *sentinels) count(answers []answer) int {
	ids := map[string]bool{}
	for _, a := range answers {
		if a.err == nil {
			ids[a.id] = true
			for id := range a.others {
				ids[id] = true
			}
		}
	}
	return max(len(ids), len(s.Addrs))
}

// agree returns what the answers say together: the greatest epoch counts.
func (s *sentinels) agree(answers []answer) (view, error) {
	type claim struct {
		addr  string
		epoch int64
	}
	votes := map[claim]map[string]bool{} // ids, since two addresses may be one Sentinel
	failure := errNoSentinel
	for _, a := range answers {
		if a.err != nil {
			failure = a.err
			continue
		}
		c := claim{a.addr, a.epoch}
		if votes[c] == nil {
			votes[c] = map[string]bool{}
		}
		votes[c][a.id] = true
	}
	if len(votes) == 0 {
		return view{}, failure
	}
	claims := make([]claim, 0, len(votes))
	for c := range votes {
		claims = append(claims, c)
	}
	best := slices.MaxFunc(claims, func(a, b claim) int {
		return cmp.Or(cmp.Compare(a.epoch, b.epoch), cmp.Compare(len(votes[a]), len(votes[b])), cmp.Compare(a.addr, b.addr))
	})
	return view{
		addr: best.addr, epoch: best.epoch,
		majority: len(votes[best]) > s.count(answers)/2,
	}, nil
}

// askOne asks one Sentinel.
func (s *sentinels) askOne(ctx context.Context, addr string) answer {
	id := redis.NewStringCmd(ctx, "sentinel", "myid")
	where := redis.NewStringSliceCmd(ctx, "sentinel", "get-master-addr-by-name", s.Name)
	about := redis.NewMapStringStringCmd(ctx, "sentinel", "master", s.Name)
	others := redis.NewMapStringStringSliceCmd(ctx, "sentinel", "sentinels", s.Name)
	sender.Send(ctx, s.client(addr), sender.Repeatable, where, id, about, others)
	a := answer{from: addr, id: cmp.Or(id.Val(), addr), err: where.Err(), others: map[string]string{}}
	switch host := where.Val(); {
	case errors.Is(a.err, redis.Nil):
		a.err = ErrUnknownName
	case a.err == nil && len(host) != 2:
		a.err = errNotRedis
	case a.err == nil:
		a.addr = net.JoinHostPort(host[0], host[1])
	}
	a.epoch, _ = strconv.ParseInt(about.Val()["config-epoch"], 10, 64)
	for _, other := range others.Val() {
		a.others[other["runid"]] = net.JoinHostPort(other["ip"], other["port"])
	}
	if a.err == nil {
		s.learn(a)
	}
	return a
}

// learn remembers the Sentinels that one knows, and which of them are configured.
func (s *sentinels) learn(a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, addr := range a.others {
		if known, ok := s.others[id]; !ok || known != "" {
			s.others[id] = addr
		}
	}
	if slices.Contains(s.Addrs, a.from) {
		s.others[a.id] = "" // it is asked already
	}
}

// addrs returns the addresses of all known Sentinels.
func (s *sentinels) addrs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	addrs := slices.Clone(s.Addrs)
	for _, addr := range s.others {
		if addr != "" && !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// client returns the client of one Sentinel. It has one connection.
func (s *sentinels) client(addr string) *redis.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clients[addr] == nil {
		s.clients[addr] = redis.NewClient(&redis.Options{
			Addr: addr, Dialer: s.dial, Username: s.Username, Password: s.Password,
			Protocol: 2, DisableIdentity: true,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
			PoolSize:                 1, PipelinePoolSize: -1,
			DialTimeout: s.patience, ReadTimeout: s.patience, WriteTimeout: s.patience,
			ContextTimeoutEnabled: true, DialerRetries: 1, MaxRetries: -1,
		})
	}
	return s.clients[addr]
}

// hangUp closes the connections to the Sentinels. The next look makes others.
func (s *sentinels) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for addr, client := range s.clients {
		_ = client.Close()
		delete(s.clients, addr)
	}
}
