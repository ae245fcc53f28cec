package deploy

import (
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/convkit/rediskit/internal/redistest"
)

// The example services run on the kit. The server denies them nothing, and they have every
// series of the library that the dashboard shows.
func TestTheDashboardShowsTheExampleServices(t *testing.T) {
	t.Parallel()
	s := up(t, "compose.single.yaml")
	binary := filepath.Join(t.TempDir(), "demo")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./demo")
	build.Dir = "../examples"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the demo: %v\n%s", err, out)
	}
	demo := redistest.StartProgram(t, []string{
		"REDIS_URL=redis://:" + s.password("default") + "@" + s.containers["redis"].server.Addr(),
	}, binary, "-addr", "127.0.0.1:{port}", "-db", "{dir}/demo.db")
	var pages []string
	eventually(t, func() bool {
		line := regexp.MustCompile(`(?m)^Metrics +(http://\S+) and (http://\S+)$`).FindStringSubmatch(demo.Log())
		if line == nil {
			return false
		}
		pages = line[1:]
		return true
	}, "the demo's welcome")

	fetch := func() string {
		var text strings.Builder
		for _, page := range pages {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page, nil)
			ok(t, err)
			res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
			ok(t, err)
			_, err = io.Copy(&text, res.Body)
			res.Body.Close()
			ok(t, err)
		}
		return text.String()
	}
	busy := regexp.MustCompile(`(?m)^rediskit_(cache_requests|lock_acquired|session_operations|ratelimit_requests|pool_requests)_total\S* [1-9]`)
	eventually(t, func() bool {
		active := map[string]bool{}
		for _, match := range busy.FindAllStringSubmatch(fetch(), -1) {
			active[match[1]] = true
		}
		return len(active) == 5
	}, "traffic in every package")

	text := fetch()
	promql := parser.NewParser(parser.Options{})
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			expr, err := promql.ParseExpr(variables.Replace(target.Expr))
			ok(t, err)
			parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
				if v, selects := node.(*parser.VectorSelector); selects && strings.HasPrefix(v.Name, "rediskit_") && !strings.Contains(text, "\n"+v.Name+"{") {
					t.Errorf("the panel %q shows %s, which no service exports", p.Title, v.Name)
				}
				return nil
			})
		}
	}
	if denied := s.client("redis", "admin").Do(t.Context(), "ACL", "LOG").Val(); len(denied.([]any)) > 0 {
		t.Errorf("the services were denied: %v", denied)
	}
}
