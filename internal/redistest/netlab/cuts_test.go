package netlab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

// short is the time after which a test believes that no answer comes. A busy machine answers
// later than usual.
const short = time.Second

func TestAServerThatVanishedAnswersNothing(t *testing.T) {
	t.Parallel()
	lab := New(t)
	p, other := lab.Start(), lab.Start()
	reaches(t, p)
	heal := lab.Vanish(lab.Host(p))
	isCutOff(t, p)
	reaches(t, other)
	if err := p.SocketClient().Ping(t.Context()).Err(); err != nil {
		t.Errorf("the server ended: %v", err)
	}
	p.Restart()
	isCutOff(t, p)
	heal()
	reaches(t, p)
}

func TestOneDirectionCanBeCut(t *testing.T) {
	t.Parallel()
	lab := New(t)
	p := lab.Start()
	rdb := impatient(p)
	set := func(key string) error { return rdb.Set(t.Context(), key, "v", time.Minute).Err() }
	if err := set("before"); err != nil {
		t.Fatal(err)
	}
	heal := lab.Cut(lab.Host(p), lab.Here())
	if err := set("reply lost"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("SET without a reply: %v", err)
	}
	if n := p.SocketClient().Exists(t.Context(), "reply lost").Val(); n != 1 {
		t.Error("the command did not arrive")
	}
	heal()

	reaches(t, p)
	rdb = impatient(p)
	if err := set("after"); err != nil {
		t.Fatal(err)
	}
	lab.Cut(lab.Here(), lab.Host(p))
	if err := set("request lost"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("SET that did not arrive: %v", err)
	}
	if n := p.SocketClient().Exists(t.Context(), "request lost").Val(); n != 0 {
		t.Error("the command arrived")
	}
	lab.Heal()
	reaches(t, p)
}

func TestAClientCanBeCutOffFromOneServer(t *testing.T) {
	t.Parallel()
	lab := New(t)
	a, b, place := lab.Start(), lab.Start(), lab.Place()
	heal := lab.Split(lab.At(place), lab.Host(a))
	reaches(t, a)
	reached := func(p *redistest.Process) string {
		c := redistest.SpawnAt(t, place, dials, p.Addr())
		return c.Line()
	}
	if got := reached(a); got != "no" {
		t.Errorf("the client reaches the server from which it is cut off: %s", got)
	}
	if got := reached(b); got != "yes" {
		t.Errorf("the client reaches the other server: %s", got)
	}
	heal()
	if got := reached(a); got != "yes" {
		t.Errorf("the client reaches the server again: %s", got)
	}
}

// dials is a process that prints whether it can dial an address.
var dials = redistest.Child("dials", func(args []string) {
	conn, err := net.DialTimeout("tcp", args[0], short)
	if err != nil {
		fmt.Println("no")
		return
	}
	conn.Close()
	fmt.Println("yes")
})

func TestOneClientCanBeCutAlone(t *testing.T) {
	t.Parallel()
	lab := New(t)
	p, client := lab.Start(), lab.Client()
	dial := func() error {
		d := client.Dialer()
		d.Timeout = short
		conn, err := d.Dial("tcp", p.Addr())
		if err == nil {
			conn.Close()
		}
		return err
	}
	if err := dial(); err != nil {
		t.Fatal(err)
	}
	heal := lab.Split(client, lab.Host(p))
	if dial() == nil {
		t.Error("dialled a server that is cut off")
	}
	reaches(t, p)
	heal()
	conn, err := client.Dialer().Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for want := 1; want >= 0; want-- {
		if open, err := client.Open(); len(open) != want || err != nil {
			t.Errorf("the open connections lead to %v, %v; want %d", open, err, want)
		}
		conn.Close()
	}
	if n := len(lab.Others(lab.Host(p))); n != 0 {
		t.Errorf("there are %d other servers", n)
	}
}

func TestHealingOneCutLeavesTheOthers(t *testing.T) {
	t.Parallel()
	lab := New(t)
	a, b := lab.Start(), lab.Start()
	healA := lab.Split(lab.Here(), lab.Host(a))
	healB := lab.Split(lab.Here(), lab.Hosts(a, b)...)
	isCutOff(t, b)
	healB()
	reaches(t, b)
	isCutOff(t, a)
	healA()
	healA()
	reaches(t, a)
}

func TestForgottenConnectionsDieAndNewOnesWork(t *testing.T) {
	t.Parallel()
	lab := New(t)
	p := lab.Start()
	old := impatient(p)
	if err := old.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	lab.Forget(lab.Here(), lab.Host(p))
	if err := old.Ping(t.Context()).Err(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("PING on the old connection: %v", err)
	}
	if err := p.Client().Ping(t.Context()).Err(); err != nil {
		t.Errorf("PING on a new connection: %v", err)
	}
}

func TestTheBusOfANodeCanBeCutAlone(t *testing.T) {
	t.Parallel()
	lab := New(t)
	c := lab.Cluster(3)
	node, others := c.Nodes()[0], c.Nodes()[1:]
	failed := func(at *redistest.Process) bool {
		rdb := at.Client()
		defer rdb.Close()
		return flagsOf(t, rdb, node)["fail"]
	}
	heal := lab.CutBus(lab.Host(node))
	for _, at := range others {
		redistest.Eventually(t, func() bool { return failed(at) }, "the others take the node for dead")
	}
	for _, p := range c.Nodes() {
		reaches(t, p)
	}
	heal()
	for _, at := range others {
		redistest.Eventually(t, func() bool { return !failed(at) }, "the node is back")
	}
}

func TestSentinelsReplaceAPrimaryThatClientsStillReach(t *testing.T) {
	t.Parallel()
	lab := New(t)
	s := lab.Sentinel()
	old := s.Master()
	lab.Split(lab.Host(old), lab.Others(lab.Host(old))...)
	redistest.Eventually(t, func() bool { return s.Master() != old }, "a new primary")
	if err := old.Client().Set(t.Context(), "k", "v", time.Minute).Err(); err != nil {
		t.Errorf("the old primary: %v", err)
	}
	lab.Heal()
	redistest.Eventually(t, func() bool { return isReplica(t, old) }, "the old primary learns that it is a replica")
}

// reaches fails the test if the server does not answer this process.
func reaches(t *testing.T, p *redistest.Process) {
	t.Helper()
	if err := p.Client().Ping(t.Context()).Err(); err != nil {
		t.Errorf("the server does not answer: %v", err)
	}
}

// isCutOff fails the test if a dial does not end by its time-out.
func isCutOff(t *testing.T, p *redistest.Process) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", p.Addr(), short)
	if err == nil {
		conn.Close()
	}
	var failure net.Error
	if !errors.As(err, &failure) || !failure.Timeout() {
		t.Errorf("dialled a server that is cut off: %v", err)
	}
}

// impatient returns a client that waits a short time for a reply.
func impatient(p *redistest.Process) *redis.Client {
	return p.Client(func(o *redis.Options) { o.ReadTimeout = short })
}
