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

// observed is the kit's Redis with everything that watches it: the exporter and
// Prometheus with the kit's own files, and a service under traffic.
type observed struct {
	*stack
	exporter, prometheus *redistest.Program
	service              *watchedService
	page                 *httptest.Server // the service's /metrics
	seen                 map[string]bool  // alerts that were active
}

func observe(t *testing.T) *observed {
	t.Helper()
	redistest.Require(t, "prometheus")
	redistest.Require(t, "prometheus-redis-exporter")
	o := &observed{stack: up(t, "compose.yaml"), seen: map[string]bool{}}
	cache, state := o.containers["redis"].server.Addr(), o.containers["redis-state"].server.Addr()

	// The same passwords, for addresses that only this test has. Which of the two forms
	// an exporter looks up depends on its version.
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

// patience is how long anything may take on a busy machine.
const patience = time.Minute

// copyPrometheus copies the kit's files, in which alerts need not wait.
func copyPrometheus(t *testing.T, to string, edit *strings.Replacer) {
	t.Helper()
	patience := regexp.MustCompile(`(?m)^( +for:) \d+m$`)
	ok(t, filepath.WalkDir("prometheus", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text := patience.ReplaceAllString(edit.Replace(string(content)), "$1 1s")
		write(t, filepath.Join(to, strings.TrimPrefix(path, "prometheus/")), []byte(text), 0o600)
		return nil
	}))
}

// ask asks Prometheus's API.
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

// query is how many series expr has now.
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

// active are the alerts that are pending or firing, with what they say.
func (o *observed) active() map[string]string {
	o.t.Helper()
	var data struct {
		Alerts []struct {
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		} `json:"alerts"`
	}
	ok(o.t, o.ask("alerts", &data))
	said := map[string]string{}
	for _, a := range data.Alerts {
		said[a.Labels["alertname"]] = a.Annotations["summary"] + ". " + a.Annotations["description"]
	}
	return said
}

// provoke repeats what brings an alert, until it is active.
func (o *observed) provoke(alert string, bring func()) {
	o.t.Helper()
	var said string
	for deadline := time.Now().Add(patience); said == ""; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			o.t.Errorf("%s did not become active", alert)
			return
		}
		bring()
		said = o.active()[alert]
	}
	o.seen[alert] = true
	if strings.Contains(said, "<") || strings.Contains(said, "%!") || strings.Contains(said, "()") {
		o.t.Errorf("%s says %q", alert, said)
	}
}

func eventually(t *testing.T, cond func() bool, what string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// already are alerts that what was provoked before brings along.
func (o *observed) already(alerts ...string) {
	o.t.Helper()
	for _, alert := range alerts {
		o.provoke(alert, func() {})
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

func TestPrometheusSeesWhatHappensAndAlertsOfIt(t *testing.T) {
	t.Parallel()
	o := observe(t)
	eventually(t, func() bool { return o.ask("status/buildinfo", &struct{}{}) == nil }, "Prometheus")
	eventually(t, func() bool { return o.query("cache_hit_rate") == 1 }, "a hit rate")
	eventually(t, func() bool { return o.query("redis:memory_used:ratio") == 2 }, "both instances")
	eventually(t, func() bool { return len(o.active()) == 0 }, "no alert while all is well")

	o.provoke("RedisLowHitRate", func() { o.service.missing.Store(true) })
	o.provoke("RedisAccessDenied", func() {
		rdb := o.client("redis", "default")
		defer rdb.Close()
		if err := rdb.FlushAll(t.Context()).Err(); err == nil {
			t.Fatal("an application may FLUSHALL")
		}
	})
	o.provoke("LocksLost", func() { o.service.loseLock(t, o.client("redis-state", "admin")) })
	o.provoke("PoolExhausted", o.service.exhaust)
	o.provoke("EventsLost", func() { o.service.overrun(t) })
	o.provokeClients()

	// Save nothing, then refuse, then evict.
	o.admin("redis-state", "CONFIG", "SET", "slowlog-log-slower-than", "0")
	o.provoke("RedisSlowCommands", func() {})
	// Not even root can save into a directory that is gone.
	ok(t, os.RemoveAll(o.containers["redis-state"].server.Dir()+"/data"))
	o.provoke("RedisSnapshotFailed", func() {
		rdb := o.client("redis-state", "admin")
		defer rdb.Close()
		rdb.BgSave(t.Context())
	})
	o.admin("redis-state", "CONFIG", "SET", "maxmemory", "100kb")
	o.provoke("RedisHighMemory", func() {})
	o.already("RedisRefusesWrites", "ServiceRedisErrors", "RateLimitsDegraded")
	o.admin("redis-state", "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	o.provoke("RedisStateEvicts", func() {})
	o.admin("redis-state", "CONFIG", "SET", "maxmemory-policy", "noeviction")
	o.admin("redis-state", "CONFIG", "SET", "maxmemory", "128mb")

	o.everythingIsShown()

	o.page.Close()
	o.provoke("ServiceDown", func() {})
	o.containers["redis"].stop()
	o.provoke("RedisDown", func() {})
	o.exporter.Kill()
	o.provoke("RedisExporterDown", func() {})
	o.provoke("RedisMetricsAbsent", func() {})

	for _, alert := range alerts(t) {
		if !o.seen[alert.Name] && alert.Name != "RedisSnapshotOld" { // which would take an hour
			t.Errorf("%s was never provoked", alert.Name)
		}
	}
}

// provokeClients fills the cache instance with connections, then with too many.
func (o *observed) provokeClients() {
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
	o.provoke("RedisTooManyClients", func() {
		ok(t, rdb.ConfigSet(t.Context(), "maxclients", "50").Err())
	})
	o.provoke("RedisConnectionsRefused", func() {
		before := len(held)
		hold(20)
		for _, conn := range held[before:] { // or the exporter could not connect either
			conn.Close()
		}
		held = held[:before]
	})
	ok(t, rdb.ConfigSet(t.Context(), "maxclients", "1000").Err())
}

// everythingIsShown checks that no recording rule and no panel is empty.
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
