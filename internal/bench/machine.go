package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/perf/benchfmt"
)

// compared are the modules whose versions the results contain.
var compared = []string{
	"github.com/redis/go-redis/v9",
	"github.com/go-redis/cache/v9",
	"github.com/eko/gocache/lib/v4",
	"github.com/eko/gocache/store/redis/v4",
	"github.com/redis/rueidis",
	"github.com/bsm/redislock",
	"github.com/go-redsync/redsync/v4",
	"github.com/go-redis/redis_rate/v10",
	"github.com/ulule/limiter/v3",
	"github.com/vmihailenco/msgpack/v5",
}

// conditions returns the date, the machine and the versions, for the results.
func conditions(ctx context.Context, addr string) ([]benchfmt.Config, error) {
	rdb := redis.NewClient(&redis.Options{Addr: addr, Protocol: 2})
	defer rdb.Close()
	info, err := rdb.InfoMap(ctx, "server").Result()
	if err != nil {
		return nil, err
	}
	var all []benchfmt.Config
	add := func(key, value string) {
		if value != "" {
			all = append(all, benchfmt.Config{Key: key, Value: []byte(value), File: true})
		}
	}
	add("date", time.Now().Format(time.DateOnly))
	add("cpu", field("/proc/cpuinfo", "model name"))
	add("cpus", strconv.Itoa(runtime.GOMAXPROCS(0)))
	add("os", strings.TrimSpace(runtime.GOOS+" "+line("/proc/sys/kernel/osrelease")))
	add("busy", busy(time.Second))
	add("go", strings.TrimPrefix(runtime.Version(), "go"))
	add("redis-server", info["Server"]["redis_version"])
	build, _ := debug.ReadBuildInfo()
	for _, path := range compared {
		for _, dep := range build.Deps {
			if dep.Path == path {
				add(path, dep.Version)
			}
		}
	}
	return all, nil
}

// busy returns the share of all CPU time that was used during d, or "" if the system does
// not report it.
func busy(d time.Duration) string {
	used, total := cpuTime()
	time.Sleep(d)
	usedThen, totalThen := cpuTime()
	if totalThen == total {
		return ""
	}
	return fmt.Sprintf("%.0f%%", 100*(usedThen-used)/(totalThen-total))
}

// cpuTime returns the CPU time since the machine started, used and in total, in ticks.
func cpuTime() (used, total float64) {
	const idle, iowait = 3, 4
	for i, text := range strings.Fields(strings.TrimPrefix(line("/proc/stat"), "cpu")) {
		ticks, _ := strconv.ParseFloat(text, 64)
		total += ticks
		if i != idle && i != iowait {
			used += ticks
		}
	}
	return used, total
}

// line returns the first line of a file, or "".
func line(path string) string {
	text, _ := os.ReadFile(path)
	first, _, _ := strings.Cut(string(text), "\n")
	return first
}

// field returns the value of the first line "name : value" in a file, or "".
func field(path, name string) string {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
