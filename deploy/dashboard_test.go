package deploy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

// A dashboard has the parts of a Grafana dashboard that the tests read.
type dashboard struct {
	UID           string `json:"uid"`
	SchemaVersion int    `json:"schemaVersion"`
	Templating    struct {
		List []struct {
			Name       string          `json:"name"`
			Type       string          `json:"type"`
			Datasource json.RawMessage `json:"datasource"`
			Query      json.RawMessage `json:"query"`
		} `json:"list"`
	} `json:"templating"`
	Panels []panel `json:"panels"`
}

type panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Datasource  struct {
		UID string `json:"uid"`
	} `json:"datasource"`
	GridPos struct {
		H, W, X, Y int
	} `json:"gridPos"`
	FieldConfig struct {
		Defaults struct {
			Unit       string `json:"unit"`
			Thresholds struct {
				Steps []any `json:"steps"`
			} `json:"thresholds"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Targets []struct {
		RefID        string `json:"refId"`
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
	} `json:"targets"`
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	content, err := os.ReadFile("grafana/dashboards/redis.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(content, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// variables replaces the dashboard's variables, as Grafana does.
var variables = strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*", "$service", ".*")

func TestTheDashboardBeginsWithItsSixMainPanels(t *testing.T) {
	t.Parallel()
	want := []struct{ kind, title string }{
		{"gauge", "Memory Usage"},
		{"stat", "Keys Total"},
		{"gauge", "Cache Hit Rate"},
		{"stat", "Connected Clients"},
		{"timeseries", "Commands/sec"},
		{"timeseries", "Evicted Keys"},
	}
	panels := readDashboard(t).Panels[1:] // after the first row's title
	for i, w := range want {
		if p := panels[i]; p.Type != w.kind || p.Title != w.title {
			t.Errorf("panel %d is the %s %q, want the %s %q", i+1, p.Type, p.Title, w.kind, w.title)
		}
	}
}

func TestEveryPanelHasADescriptionAUnitAndALegend(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	if d.UID == "" || d.SchemaVersion != 41 {
		t.Errorf("uid %q, schema version %d; Grafana 12.0 has 41", d.UID, d.SchemaVersion)
	}
	ids, titles, taken := map[int]bool{}, map[string]bool{}, map[[2]int]string{}
	row := ""
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("%q has no id, or the id of another panel: %d", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok || x >= 24 {
					t.Fatalf("%q overlaps %q, or is beyond the page", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			row = p.Title
			if !strings.HasSuffix(row, "?") {
				t.Errorf("the row %q is no question", row)
			}
			continue
		}
		if titles[row+p.Title] {
			t.Errorf("%q is twice in its row", p.Title)
		}
		titles[row+p.Title] = true
		defaults := p.FieldConfig.Defaults
		if p.Description == "" || defaults.Unit == "" || len(defaults.Thresholds.Steps) == 0 || row == "" {
			t.Errorf("%q lacks a description, a unit, thresholds or a row", p.Title)
		}
		if p.Datasource.UID != "${datasource}" {
			t.Errorf("%q reads from %q instead of the selected data source", p.Title, p.Datasource.UID)
		}
		for _, target := range p.Targets {
			if !strings.Contains(target.LegendFormat, "{{") {
				t.Errorf("%q has a legend without a label: %q", p.Title, target.LegendFormat)
			}
		}
		if len(p.Targets) == 0 {
			t.Errorf("%q shows nothing", p.Title)
		}
	}
	var names []string
	for _, v := range d.Templating.List {
		names = append(names, v.Name)
		if !strings.Contains(string(v.Datasource), "${datasource}") && v.Type != "datasource" {
			t.Errorf("the variable %s reads from %s", v.Name, v.Datasource)
		}
	}
	if !slices.Equal(names, []string{"datasource", "instance", "service"}) {
		t.Errorf("the variables are %v", names)
	}
}

func TestEveryPanelsQueryParses(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	promql := parser.NewParser(parser.Options{})
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			expr := variables.Replace(target.Expr)
			if strings.Contains(expr, "$") {
				t.Errorf("%q has an unknown variable: %s", p.Title, target.Expr)
			}
			if _, err := promql.ParseExpr(expr); err != nil {
				t.Errorf("%q: %s: %v", p.Title, target.Expr, err)
			}
		}
	}
}

func TestGrafanaFindsItsDashboardAndItsData(t *testing.T) {
	t.Parallel()
	grafana := load(t, "compose.yaml").Services["grafana"]
	mounted := map[string]string{}
	for _, v := range grafana.Volumes {
		mounted[v.Target] = filepath.Base(v.Source)
	}
	if mounted["/etc/grafana/provisioning"] != "provisioning" || mounted["/etc/grafana/dashboards"] != "dashboards" {
		t.Errorf("mounted are %v", mounted)
	}
	var providers struct {
		Providers []struct {
			Options struct {
				Path string `yaml:"path"`
			} `yaml:"options"`
		} `yaml:"providers"`
	}
	readYAML(t, "grafana/provisioning/dashboards/redis.yml", &providers)
	if len(providers.Providers) != 1 || providers.Providers[0].Options.Path != "/etc/grafana/dashboards" {
		t.Errorf("dashboards come from %v", providers)
	}
	var sources struct {
		Datasources []struct {
			UID  string `yaml:"uid"`
			Type string `yaml:"type"`
			URL  string `yaml:"url"`
		} `yaml:"datasources"`
	}
	readYAML(t, "grafana/provisioning/datasources/prometheus.yml", &sources)
	if len(sources.Datasources) != 1 || sources.Datasources[0].Type != "prometheus" || sources.Datasources[0].URL != "http://prometheus:9090" {
		t.Errorf("data come from %v", sources)
	}
	if home := grafana.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]; home == nil || *home != "/etc/grafana/dashboards/redis.json" {
		t.Error("the dashboard is not Grafana's first page")
	}
}
