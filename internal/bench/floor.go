package main

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// floor compares hits with redis-benchmark, which reads the same value over 16
// connections without decoding it: one command at a time, and 32 in a pipeline.
func floor[V any](name string, value V) contest {
	return contest{name: name, enter: func(a *arena) []contestant {
		entered := enterReaders(a, value, []reader[V]{{"rediskit", rediskitRead[V]}, {"bare-GET", bareGET[V]}})
		for i, by := range entered {
			entered[i].round = func(ctx context.Context) ([]benchfmt.Value, error) {
				_, values, err := timed(ctx, by.call, 16, a.slice)
				if err != nil {
					return nil, err
				}
				return []benchfmt.Value{{Value: 1e9 / values[0].Value, Unit: "reads/s"}}, nil
			}
		}
		requests := int(a.slice.Seconds() * 50_000) // takes about one slice
		return append(entered,
			contestant{by: "redis-benchmark", round: func(ctx context.Context) ([]benchfmt.Value, error) {
				return redisBenchmark(ctx, a.addr, requests, 1)
			}},
			contestant{by: "redis-benchmark-P32", round: func(ctx context.Context) ([]benchfmt.Value, error) {
				return redisBenchmark(ctx, a.addr, 10*requests, 32)
			}})
	}}
}

func redisBenchmark(ctx context.Context, addr string, requests, pipeline int) ([]benchfmt.Value, error) {
	host, port, _ := net.SplitHostPort(addr)
	out, err := exec.CommandContext(ctx, "redis-benchmark", "-h", host, "-p", port, "-c", "16", "--csv",
		"-n", strconv.Itoa(requests), "-P", strconv.Itoa(pipeline), "GET", "bare").Output()
	if err != nil {
		return nil, fmt.Errorf("redis-benchmark: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	fields := strings.Split(lines[len(lines)-1], ",")
	if len(fields) < 2 {
		return nil, fmt.Errorf("redis-benchmark printed %q", lines[len(lines)-1])
	}
	rate, err := strconv.ParseFloat(strings.Trim(fields[1], `"`), 64)
	return []benchfmt.Value{{Value: rate, Unit: "reads/s"}}, err
}
