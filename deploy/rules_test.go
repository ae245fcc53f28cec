package deploy

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/convkit/rediskit/internal/redistest"
)

// promtool runs a check of Prometheus's own.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	redistest.Require(t, "promtool")
	if out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPromtoolAcceptsTheConfigurationAndRules(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "config", "prometheus/prometheus.yml")
	promtool(t, "check", "rules", "--lint=all", "--lint-fatal", "prometheus/rules/recording.yml", "prometheus/rules/alerts.yml")
}

func TestEveryAlertFiresWhenItShouldAndOnlyThen(t *testing.T) {
	t.Parallel()
	promtool(t, "test", "rules", "prometheus/tests/alerts.yml")

	var tests struct {
		Tests []struct {
			Checks []struct {
				Expr    string `yaml:"expr"`
				Samples []any  `yaml:"exp_samples"`
			} `yaml:"promql_expr_test"`
		} `yaml:"tests"`
	}
	readYAML(t, "prometheus/tests/alerts.yml", &tests)
	for _, alert := range alerts(t) {
		fires := false
		for _, test := range tests.Tests {
			for _, check := range test.Checks {
				fires = fires || check.Expr == `ALERTS{alertname="`+alert.Name+`", alertstate="firing"}` && len(check.Samples) > 0
			}
		}
		if !fires {
			t.Errorf("no test lets %s fire", alert.Name)
		}
	}
}

// A rule is an alert or a recording rule of prometheus/rules.
type rule struct {
	Name        string            `yaml:"alert"`
	Record      string            `yaml:"record"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func rules(t *testing.T, file string) []rule {
	t.Helper()
	var content struct {
		Groups []struct {
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	readYAML(t, file, &content)
	var all []rule
	for _, group := range content.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) == 0 {
		t.Fatalf("%s has no rules", file)
	}
	return all
}

func alerts(t *testing.T) []rule {
	t.Helper()
	return rules(t, "prometheus/rules/alerts.yml")
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err == nil {
		err = yaml.Unmarshal(content, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func TestEveryAlertHasASeverityTextsAndARunbookSection(t *testing.T) {
	t.Parallel()
	runbook, err := os.ReadFile("RUNBOOK.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, alert := range alerts(t) {
		names = append(names, alert.Name)
		if severity := alert.Labels["severity"]; severity != "critical" && severity != "warning" {
			t.Errorf("%s has the severity %q", alert.Name, severity)
		}
		for _, text := range []string{"summary", "description"} {
			if alert.Annotations[text] == "" {
				t.Errorf("%s has no %s", alert.Name, text)
			}
		}
		const page = "https://github.com/convkit/rediskit/blob/main/deploy/RUNBOOK.md#alert-"
		if link := alert.Annotations["runbook_url"]; link != page+strings.ToLower(alert.Name) {
			t.Errorf("%s links to %s", alert.Name, link)
		}
		if strings.Count("\n"+string(runbook), "\n## Alert "+alert.Name+"\n") != 1 {
			t.Errorf("RUNBOOK.md does not have exactly one section for %s", alert.Name)
		}
	}
	for _, name := range []string{"RedisHighMemory", "RedisLowHitRate", "RedisDown"} {
		if !slices.Contains(names, name) {
			t.Errorf("there is no alert %s", name)
		}
	}
}
