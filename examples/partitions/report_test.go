package partitions

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Results are the figures of all runs, by fault and client.
type results struct {
	runs    int
	began   time.Time
	figures map[string]map[string][]figures
}

func newResults(runs int) *results {
	return &results{runs: runs, began: time.Now(), figures: map[string]map[string][]figures{}}
}

func (r *results) add(f fault, all map[string]figures) {
	if r.figures[f.name] == nil {
		r.figures[f.name] = map[string][]figures{}
	}
	for kind, figures := range all {
		r.figures[f.name][kind] = append(r.figures[f.name][kind], figures)
	}
}

const head = `# What a cut network costs

` + "`make partitions`" + ` writes this page, in half an hour. It needs root on Linux, with
redis-server, iproute2 and iptables. Each server, each Sentinel and each client has a
network of its own, behind a router that drops packets; neither end learns of it. Where
one address moves, and where a node hangs up, a proxy does that instead. ` + "`RUNS=1`" + ` is
quicker. ` + "`FAULT=Sentinel`" + ` injects only the faults with that text in their name, and
writes nothing.

Two clients work side by side on the same servers. **rediskit** is a process with
rediskit.Connect and default settings, which at the same time calls SET every 5 ms, reads
a value of which near copies are kept (cache.Local), listens with a Hub, publishes, and
waits for a lock. **go-redis** is a process with redis.NewUniversalClient and default
settings, which does as much of this as go-redis can. A third process knows the truth: it
writes and publishes every 10 ms at the server that counts, through a Unix socket, which
is no part of the network.

Every time counts from the moment at which the server that counts can be reached again:
most Sentinels name it, or most nodes of the Cluster do, and it confirms writes; or the
network is whole again; or the address has moved. How long Sentinels or a Cluster need for
a failover is not in the figures. "never" means: not before the end of the run, %v or more
later.

A figure is the median of %s, with the worst in parentheses if it differs. A
figure that is worse than promised stands in bold.

`

const promises = `
What rediskit promises from that moment on: calls recover within 2 s, in the median
within 1 s. Near copies are at most 2 s old, 5 s if one address moves in silence. A Hub
hears the new server, and a waiter sees a lock released there, within 2 s, or 5 s then.
A node that is not well is dialled at most 20 times a second. No message is missing in
silence. When 64 callers lose their flows, each has one slow call at most.

The columns:

`

// write writes the page.
func (r *results) write(path string) error {
	var b strings.Builder
	fmt.Fprintf(&b, head, (&run{full: true}).window(), count(r.runs))
	b.WriteString("| fault | client |")
	for _, c := range columns {
		fmt.Fprintf(&b, " %s |", c.head)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("--:|", len(columns)) + "\n")
	for _, f := range faults {
		r.row(&b, f)
	}
	b.WriteString(promises)
	for _, c := range columns {
		fmt.Fprintf(&b, "- **%s** – %s.\n", c.head, c.meaning)
	}
	r.unpromised(&b)
	r.circumstances(&b)
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

func count(runs int) string {
	if runs == 1 {
		return "one run"
	}
	return fmt.Sprint(runs, " runs")
}

func (r *results) row(b *strings.Builder, f fault) {
	for i, kind := range kinds {
		all := r.figures[f.name][kind]
		if len(all) == 0 {
			return
		}
		name := f.name
		if i > 0 {
			name = ""
		}
		fmt.Fprintf(b, "| %s | %s |", name, kind)
		for _, c := range columns {
			if !c.applies(f, kind) {
				b.WriteString(" |")
				continue
			}
			median, worst := c.spread(all)
			text := c.text(median)
			if worst != median {
				text += " (" + c.text(worst) + ")"
			}
			if kind == rediskitKind && c.exceeded(f, all) != "" {
				text = "**" + text + "**"
			}
			b.WriteString(" " + text + " |")
		}
		b.WriteString("\n")
	}
}

// worst returns the worst figure of a fault and a client.
func (r *results) worst(name, kind, head string) string {
	all := r.figures[name][kind]
	if len(all) == 0 {
		return "(not measured)"
	}
	for _, c := range columns {
		if c.head == head {
			_, worst := c.spread(all)
			return c.text(worst)
		}
	}
	panic("there is no column " + head)
}

// unpromised says what no client can promise, with figures of this run.
func (r *results) unpromised(b *strings.Builder) {
	strict := together + strictly
	written, others := 0, 0
	for _, f := range r.figures[together][rediskitKind] {
		written = max(written, f.written)
	}
	for _, all := range r.figures {
		for _, f := range all[rediskitKind] {
			others = max(others, f.others)
		}
	}
	fmt.Fprintf(b, `
## What no client can promise

- **A primary that is cut off together with a client** goes on confirming writes, and they
  are lost when the network heals: up to %s of %d in 20 s. With
  `+"`min-replicas-to-write 1` and `min-replicas-max-lag 1`"+` it refuses them a second or two
  after it has lost its replicas, and up to %s were lost. Two replicas are then the least:
  after a failover the new primary must find one.
- **Two lock holders** can trust one lock meanwhile: for up to %s, and %s with
  min-replicas. The holder on the small side renews its lock at the old primary, and on the other side
  the lock expires. That lasts as long as the split, less the lock's TTL.
  lock.Config.Replicas ends it, and a fence that the store checks makes it harmless.
- **Packets in flight.** A request whose connection was closed after a time-out may already
  be in the network, and may arrive after a newer one. The library withdraws what is still
  in this machine's buffers, and no more.
- **Publishers of other clients.** A client that does not know of the failover publishes at
  the old primary, which confirms it, and no Hub at the new one hears it. The client of
  go-redis published in the channel of rediskit's Hub too. Where it was slow to learn of a
  failover, up to %d of its confirmed messages in a run were not received, and no gap tells
  of them.
`, r.worst(together, rediskitKind, "lost"), written, r.worst(strict, rediskitKind, "lost"),
		r.worst(together, rediskitKind, "two holders"), r.worst(strict, rediskitKind, "two holders"), others)
}

func (r *results) circumstances(b *strings.Builder) {
	server := "redis-server"
	if out, err := exec.Command("redis-server", "--version").Output(); err == nil {
		for field := range strings.FieldsSeq(string(out)) {
			if version, ok := strings.CutPrefix(field, "v="); ok {
				server += " " + version
			}
		}
	}
	fmt.Fprintf(b, `
## How it was measured

%s, %s/%s with %d CPUs for servers and clients together, %s, %v for all. Sentinels take a
primary for dead after 500 ms, nodes of a Cluster after 1 s. Other work on the machine
changes the figures.
`, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), server, time.Since(r.began).Round(time.Second))
}
