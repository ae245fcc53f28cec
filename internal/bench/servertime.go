package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/perf/benchfmt"
)

// serverCalls is how many calls the server's own time is the mean of.
const serverCalls = 100_000

// timeServer records how long the server itself works for one call in each contest whose
// contestants send scripts or other commands, but not both, as INFO commandstats counts it: without the network and the client. It
// is the floor of what many clients together can reach.
func (r *run) timeServer(ctx context.Context, contests []contest) error {
	began := time.Now()
	for _, c := range contests {
		name, _, _ := strings.Cut(c.name, "/")
		switch name {
		case "Session", "Allow", "Publish": // none of them sends scripts and other commands
			if err := r.timeServerOf(ctx, c); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(os.Stderr, "Server %.1fs\n", time.Since(began).Seconds())
	return nil
}

func (r *run) timeServerOf(ctx context.Context, c contest) error {
	a := r.arena(ctx, r.addr)
	defer a.close()
	contestants, err := a.enter(c)
	if err != nil {
		return err
	}
	admin := a.goRedis()
	for _, by := range contestants {
		calls := serverCalls
		if a.short {
			calls = 20
		}
		for i := range calls + 3 {
			if i == 3 { // the server knows every script from here on
				if err := admin.ConfigResetStat(ctx).Err(); err != nil {
					return err
				}
			}
			if err := by.call(ctx, 0); err != nil {
				return fmt.Errorf("%s by %s: %w", c.name, by.by, err)
			}
		}
		info, err := admin.Info(ctx, "commandstats").Result()
		if err != nil {
			return err
		}
		work := readCommandStats(info)
		err = r.record("Server/"+c.name+"/by="+by.by, calls,
			benchfmt.Value{Value: work.seconds / float64(calls), Unit: "server-sec/op"},
			benchfmt.Value{Value: work.sent / float64(calls), Unit: "commands/op"},
			benchfmt.Value{Value: work.inScripts / float64(calls), Unit: "in-scripts/op"})
		if err != nil {
			return err
		}
	}
	return nil
}

// work is what a server did since its statistics were reset.
type work struct {
	seconds         float64 // of all commands that were sent
	sent, inScripts float64 // commands that clients sent, and those that scripts called
}

var commandStat = regexp.MustCompile(`(?m)^cmdstat_([^:]+):calls=(\d+),usec=(\d+)`)

// readCommandStats reads INFO commandstats. The time of a script includes that of the
// commands that it calls, which are counted once more by themselves. So a contestant that
// sends scripts must send nothing else.
func readCommandStats(info string) (w work) {
	var scripts, others work
	for _, m := range commandStat.FindAllStringSubmatch(info, -1) {
		calls, _ := strconv.ParseFloat(m[2], 64)
		usec, _ := strconv.ParseFloat(m[3], 64)
		switch name := m[1]; {
		case name == "evalsha", name == "eval":
			scripts.sent += calls
			scripts.seconds += usec / 1e6
		case name == "config|resetstat", name == "info", name == "ping", name == "hello", strings.HasPrefix(name, "client|"):
		default:
			others.sent += calls
			others.seconds += usec / 1e6
		}
	}
	if scripts.sent == 0 {
		return others
	}
	scripts.inScripts = others.sent
	return scripts
}
