package partitions

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Settings say what a client process does.
type settings struct {
	Kind       string   // rediskitKind or plainKind
	Addrs      []string // of one server, of a Cluster or of Sentinels
	MasterName string
	Names      map[string]string // addresses that are dialled as others
	Tag        string            // part of all keys and channels
	Callers    int
	Every      time.Duration // the pause after each call of a caller
	Hold       bool          // hold a lock
}

const (
	rediskitKind = "rediskit"
	plainKind    = "go-redis"
	direct       = "direct" // the publisher at the server that counts
	other        = "other"  // the publisher of the plain client in the channel of rediskit's
)

func (s settings) key(caller, n int) string {
	return fmt.Sprintf("call:{%s}:%s:%d:%d", s.Tag, s.Kind, caller, n)
}

func channelOf(tag, kind string) string { return fmt.Sprintf("events:{%s}:%s", tag, kind) }

// A client works until its standard input says stop, and notes what it sees.
type client struct {
	settings
	dialer net.Dialer
	work   sync.WaitGroup

	mu      sync.Mutex
	record  record
	moved   map[string]string // the address that is dialled instead
	pending map[int]call      // by caller: what is under way
}

// runClient is the main function of a client process.
func runClient(args []string) {
	c := &client{record: record{Reads: map[int]int64{}}, moved: map[string]string{}, pending: map[int]call{}}
	if err := json.Unmarshal([]byte(args[0]), &c.settings); err != nil {
		fmt.Println(err)
		return
	}
	maps.Copy(c.moved, c.Names)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	start := c.startPlain
	if c.Kind == rediskitKind {
		start = c.startRediskit
	}
	if err := start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan() && lines.Text() != "stop"; {
		if words := strings.Fields(lines.Text()); len(words) == 3 && words[0] == "move" {
			c.mu.Lock()
			c.moved[words[1]] = words[2]
			c.mu.Unlock()
		}
	}
	stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.work.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(time.Second): // some calls hang for longer
	}
	c.print()
}

func (c *client) print() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pending {
		p.End = now()
		c.record.Calls = append(c.record.Calls, p)
	}
	text, err := json.Marshal(c.record)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

func now() int64 { return time.Now().UnixNano() }

// dial notes each dial.
func (c *client) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c.mu.Lock()
	c.record.Dials = append(c.record.Dials, dial{now(), addr})
	to := cmp.Or(c.moved[addr], addr)
	c.mu.Unlock()
	return c.dialer.DialContext(ctx, network, to)
}

// repeat runs f again and again until ctx ends.
func (c *client) repeat(ctx context.Context, every time.Duration, f func(n int)) {
	c.work.Go(func() {
		for n := 1; ctx.Err() == nil; n++ {
			f(n)
			select {
			case <-time.After(every):
			case <-ctx.Done():
			}
		}
	})
}

// startCalls starts the callers.
func (c *client) startCalls(ctx context.Context, rdb redis.UniversalClient) {
	for caller := range c.Callers {
		c.repeat(ctx, c.Every, func(n int) {
			this := call{Caller: caller, N: n, Start: now()}
			c.mu.Lock()
			c.pending[caller] = this
			c.mu.Unlock()
			err := rdb.Set(ctx, c.key(caller, n), n, 10*time.Minute).Err()
			this.End, this.OK = now(), err == nil
			c.mu.Lock()
			defer c.mu.Unlock()
			delete(c.pending, caller)
			if ctx.Err() != nil {
				return
			}
			c.record.Calls = append(c.record.Calls, this)
			if err != nil {
				c.record.Error = err.Error()
			}
		})
	}
}

func (c *client) received(e event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.At = now()
	c.record.Events = append(c.record.Events, e)
}

func (c *client) sent(n int, start int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.record.Sent = append(c.record.Sent, message{n, start})
}
