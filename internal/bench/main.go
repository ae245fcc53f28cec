// Command bench measures rediskit against its peers and writes docs/benchmarks.md. It is a
// module of its own, so that the peers never become dependencies of an importer.
//
//	bench -docs ../../docs -out results.txt     the whole run, a quarter of an hour
//	bench -only Hit -out results.txt            contests whose names begin with Hit
//	bench -short -out results.txt               one short round, to check that all works
//	bench -from results.txt -docs ../../docs    only the page, from an earlier run
//
// contest.go lists the contests; other files have one kind of contest each. run.go lets
// the contestants take turns. Package page makes the page from the results. The results
// have the format of Go's benchmarks:
//
//	bin/benchstat -col /by results.txt
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9/logging"
	"golang.org/x/perf/benchfmt"

	"github.com/convkit/rediskit/internal/bench/page"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	logging.Disable()
	time.Local = time.UTC // msgpack decodes times as local times
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) == 4 && os.Args[1] == herdCommand {
		n, _ := strconv.Atoi(os.Args[3])
		runHerd(&arena{ctx: ctx, addr: os.Args[2]}, n, os.Stdin, os.Stdout)
		return
	}
	if err := bench(ctx); err != nil {
		stop()
		log.Fatal(err)
	}
}

func bench(ctx context.Context) error {
	docs := flag.String("docs", "", "the `directory` to write benchmarks.md and its charts to; none by default")
	out := flag.String("out", "", "the `file` to write the results to; none by default")
	from := flag.String("from", "", "a `file` of earlier results to make the page of, instead of a run")
	only := flag.String("only", "", "a `prefix` of the contests' names; all by default")
	short := flag.Bool("short", false, "one short round, whose figures mean nothing")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}

	var results bytes.Buffer
	if *from != "" {
		text, err := os.ReadFile(*from)
		if err != nil {
			return err
		}
		results.Write(text)
	} else if err := measure(ctx, *only, *short, *out, &results); err != nil {
		return err
	}
	if *docs == "" && *only == "" { // make the page anyway, to check that it can be made
		dir, err := os.MkdirTemp("", "bench")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		*docs = dir
	}
	if *docs == "" {
		return nil
	}
	return page.Write(&results, *docs)
}

// measure runs the contests whose names begin with only, and writes their results to
// results. If out is not empty, it also writes them, line by line, to the file out.
func measure(ctx context.Context, only string, short bool, out string, results io.Writer) error {
	if out != "" {
		file, err := os.Create(out)
		if err != nil {
			return err
		}
		defer file.Close()
		results = io.MultiWriter(results, file)
	}
	server, err := startServer(ctx)
	if err != nil {
		return err
	}
	defer server.end()
	config, err := conditions(ctx, server.addr)
	if err != nil {
		return err
	}
	w := benchfmt.NewWriter(results)
	r := &run{addr: server.addr, rounds: 10, slice: 200 * time.Millisecond}
	if short {
		r.rounds, r.slice, r.short = 1, 4*time.Millisecond, true
	}
	r.record = func(name string, n int, values ...benchfmt.Value) error {
		return w.Write(&benchfmt.Result{Config: config, Name: benchfmt.Name(name), Iters: n, Values: values})
	}
	var chosen []contest
	for _, c := range contests() {
		if strings.HasPrefix(c.name, only) {
			chosen = append(chosen, c)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("the name of no contest begins with %q", only)
	}
	for _, c := range chosen {
		if err := r.contest(ctx, c); err != nil {
			return err
		}
	}
	if err := r.countRoundTrips(ctx, chosen); err != nil {
		return err
	}
	return r.timeServer(ctx, chosen)
}
