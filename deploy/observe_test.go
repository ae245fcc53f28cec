package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

// observed is the kit's Redis with its monitoring: the exporter and Prometheus with the
// kit's own files, and a service with traffic.
type observed struct {
	*stack
	exporter, prometheus *redistest.Program
	replica              *redistest.Process // of the state instance
	service              *watchedService
	page                 *httptest.Server // the service's /metrics
	triggered            map[string]bool  // alerts that were active
}

func observe(t *testing.T) *observed {
	t.Helper()
	redistest.Require(t, "prometheus")
	redistest.Require(t, "prometheus-redis-exporter")
	o := &observed{stack: up(t, "compose.yaml"), triggered: map[string]bool{}}
	cache, state := o.containers["redis"].server.Addr(), o.containers["redis-state"].server.Addr()

	// The same passwords for the addresses of this test. Which of the two forms an exporter
	// looks up depends on its version.
	passwords := map[string]string{}
	for _, addr := range []string{cache, state} {
		passwords["redis://"+addr] = o.password("exporter")
		passwords["redis://exporter@"+addr] = o.password("exporter")
	}
	content, err := json.Marshal(passwords)
	ok(t, err)
	file := filepath.Join(t.TempDir(), "exporter.json")
	write(t, file, content, 0o600)
	exporter := load(t, "compose.yaml").Services["redis-exporter"].Environment
	o.exporter = redistest.StartProgram(t, []string{
		"REDIS_ADDR=" + *exporter["REDIS_ADDR"],
		"REDIS_USER=" + *exporter["REDIS_USER"],
		"REDIS_PASSWORD_FILE=" + file,
	}, "prometheus-redis-exporter", "-web.listen-address", "127.0.0.1:{port}")

	// The kit has no replica. Some panels and an alert are for those that a user adds.
	host, port, err := net.SplitHostPort(state)
	ok(t, err)
	o.replica = redistest.Start(t, "--replicaof", host+" "+port, "--masteruser", "admin", "--masterauth", o.password("admin"))
	o.service = newWatchedService(t, o.stack)
	registry := prometheus.NewRegistry()
	ok(t, registry.Register(o.service.collector))
	o.page = httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	t.Cleanup(o.page.Close)

	dir := t.TempDir()
	copyPrometheus(t, dir, strings.NewReplacer(
		"redis:6379", cache, "redis-state:6379", state, "redis-exporter:9121", o.exporter.Addr(),
		"interval: 15s", "interval: 500ms",
	))
	targets := fmt.Sprintf(`- targets: [%q]`, strings.TrimPrefix(o.page.URL, "http://"))
	write(t, dir+"/targets/services.yml", []byte(targets), 0o600)
	o.prometheus = redistest.StartProgram(t, nil, "prometheus",
		"--config.file="+dir+"/prometheus.yml", "--storage.tsdb.path={dir}", "--web.listen-address=127.0.0.1:{port}", "--log.level=warn")
	return o
}

// waitTimeout is how long eventually and trigger wait. It is long for a busy machine.
const waitTimeout = time.Minute

// copyPrometheus copies the kit's files with edit, and shortens the waits of alerts to
// 1 s.
func copyPrometheus(t *testing.T, to string, edit *strings.Replacer) {
	t.Helper()
	waits := regexp.MustCompile(`(?m)^( +for:) \d+m$`)
	ok(t, filepath.WalkDir("prometheus", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text := waits.ReplaceAllString(edit.Replace(string(content)), "$1 1s")
		write(t, filepath.Join(to, strings.TrimPrefix(path, "prometheus/")), []byte(text), 0o600)
		return nil
	}))
}

// ask calls Prometheus's API.
func (o *observed) ask(path string, into any) error {
	req, err := http.NewRequestWithContext(o.t.Context(), http.MethodGet, "http://"+o.prometheus.Addr()+"/api/v1/"+path, nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var answer struct {
		Error string          `json:"error"`
		Data  json.RawMessage `json:"data"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	return json.Unmarshal(answer.Data, into)
}

// query returns how many series expr has now.
func (o *observed) query(expr string) int {
	o.t.Helper()
	var data struct {
		Result []json.RawMessage `json:"result"`
	}
	if err := o.ask("query?query="+url.QueryEscape(expr), &data); err != nil {
		o.t.Errorf("%s: %v", expr, err)
	}
	return len(data.Result)
}

// active returns the texts of the alerts that are pending or firing, by name.
func (o *observed) active() map[string]string {
	o.t.Helper()
	var data struct {
		Alerts []struct {
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		} `json:"alerts"`
	}
	ok(o.t, o.ask("alerts", &data))
	texts := map[string]string{}
	for _, a := range data.Alerts {
		texts[a.Labels["alertname"]] = a.Annotations["summary"] + ". " + a.Annotations["description"]
	}
	return texts
}

// trigger repeats cause until the alert is active.
func (o *observed) trigger(alert string, cause func()) {
	o.t.Helper()
	var text string
	for deadline := time.Now().Add(waitTimeout); text == ""; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			o.t.Errorf("%s did not become active", alert)
			return
		}
		cause()
		text = o.active()[alert]
	}
	o.triggered[alert] = true
	if strings.Contains(text, "<") || strings.Contains(text, "%!") || strings.Contains(text, "()") {
		o.t.Errorf("%s says %q", alert, text)
	}
}

func eventually(t *testing.T, cond func() bool, what string) {
	t.Helper()
	for deadline := time.Now().Add(waitTimeout); !cond(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", waitTimeout, what)
		}
	}
}

// follow waits for alerts that an earlier cause also triggers.
func (o *observed) follow(alerts ...string) {
	o.t.Helper()
	for _, alert := range alerts {
		o.trigger(alert, func() {})
	}
}

func (o *observed) admin(service string, args ...any) {
	o.t.Helper()
	rdb := o.client(service, "admin")
	defer rdb.Close()
	if err := rdb.Do(o.t.Context(), args...).Err(); err != nil {
		o.t.Fatalf("%v: %v", args, err)
	}
}

func TestEveryAlertIsTriggeredAndEveryPanelShowsData(t *testing.T) {
	t.Parallel()
	o := observe(t)
	eventually(t, func() bool { return o.ask("status/buildinfo", &struct{}{}) == nil }, "Prometheus")
	eventually(t, func() bool { return o.query("cache_hit_rate") == 2 }, "the hit rates of two caches")
	eventually(t, func() bool { return o.query("redis:memory_used:ratio") == 2 }, "both instances")
	eventually(t, func() bool { return len(o.active()) == 0 }, "no alert while everything works")

	o.trigger("RedisLowHitRate", func() { o.service.missing.Store(true) })
	o.trigger("RedisAccessDenied", func() {
		rdb := o.client("redis", "default")
		defer rdb.Close()
		if err := rdb.FlushAll(t.Context()).Err(); err == nil {
			t.Fatal("an application may FLUSHALL")
		}
	})
	o.trigger("CacheStale", func() { o.service.forget(t) })
	o.trigger("LocksLost", func() { o.service.loseLock(t, o.client("redis-state", "admin")) })
	o.trigger("PoolExhausted", o.service.exhaust)
	o.trigger("EventsLost", func() { o.service.overrun(t) })
	o.triggerClients()

	// First failed snapshots, then refused writes, then evictions.
	o.admin("redis-state", "CONFIG", "SET", "slowlog-log-slower-than", "0")
	o.trigger("RedisSlowCommands", func() {})
	// Not even root can save to a directory that does not exist.
	ok(t, os.RemoveAll(o.containers["redis-state"].server.Dir()+"/data"))
	o.trigger("RedisSnapshotFailed", func() {
		rdb := o.client("redis-state", "admin")
		defer rdb.Close()
		rdb.BgSave(t.Context())
	})
	o.admin("redis-state", "CONFIG", "SET", "maxmemory", "100kb")
	o.trigger("RedisHighMemory", func() {})
	o.follow("RedisRefusesWrites", "ServiceRedisErrors", "RateLimitsDegraded")
	o.admin("redis-state", "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	o.trigger("RedisStateEvicts", func() {})
	o.admin("redis-state", "CONFIG", "SET", "maxmemory-policy", "noeviction")
	o.admin("redis-state", "CONFIG", "SET", "maxmemory", "128mb")

	o.everythingIsShown()

	o.replica.Kill()
	o.trigger("RedisReplicaLost", func() {})
	o.page.Close()
	o.trigger("ServiceDown", func() {})
	o.containers["redis"].stop()
	o.trigger("RedisDown", func() {})
	o.exporter.Kill()
	o.trigger("RedisExporterDown", func() {})
	o.trigger("RedisMetricsAbsent", func() {})

	for _, alert := range alerts(t) {
		if !o.triggered[alert.Name] && alert.Name != "RedisSnapshotOld" { // which needs an hour
			t.Errorf("%s was never triggered", alert.Name)
		}
	}
}

// triggerClients fills the cache instance with connections, then with too many.
func (o *observed) triggerClients() {
	t := o.t
	addr := o.containers["redis"].server.Addr()
	var held []net.Conn
	hold := func(n int) {
		for range n {
			conn, err := net.Dial("tcp", addr)
			ok(t, err)
			held = append(held, conn)
		}
	}
	defer func() {
		for _, conn := range held {
			conn.Close()
		}
	}()
	hold(40)
	rdb := o.client("redis", "admin", func(o *redis.Options) { o.PoolSize = 1 })
	defer rdb.Close()
	o.trigger("RedisTooManyClients", func() {
		ok(t, rdb.ConfigSet(t.Context(), "maxclients", "50").Err())
	})
	o.trigger("RedisConnectionsRefused", func() {
		before := len(held)
		hold(20)
		for _, conn := range held[before:] { // otherwise the exporter could not connect either
			conn.Close()
		}
		held = held[:before]
	})
	ok(t, rdb.ConfigSet(t.Context(), "maxclients", "1000").Err())
}

// everythingIsShown checks that every recording rule and every panel has data.
func (o *observed) everythingIsShown() {
	t := o.t
	t.Helper()
	for _, rule := range rules(t, "prometheus/rules/recording.yml") {
		if o.query(rule.Record) == 0 {
			t.Errorf("%s records nothing", rule.Record)
		}
	}
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			if o.query(variables.Replace(target.Expr)) == 0 {
				t.Errorf("the panel %q shows nothing for %s", p.Title, target.Expr)
			}
		}
	}
}
