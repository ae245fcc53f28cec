package page

import (
	_ "embed"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

//go:embed benchmarks.md.tmpl
var words string

// charts is the directory of the charts, next to the page.
const charts = "benchmarks"

// Write reads results, and writes benchmarks.md and its charts to dir.
func Write(from io.Reader, dir string) error {
	r, err := read(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, charts), 0o755); err != nil {
		return err
	}
	chart := func(file, title, name, unit string, without ...string) (string, error) {
		svg, err := r.bars(title, name, unit, without...)
		if err != nil {
			return "", err
		}
		path := charts + "/" + file + ".svg"
		return "![" + title + "](" + path + ")", os.WriteFile(filepath.Join(dir, path), []byte(svg), 0o644)
	}
	t, err := template.New("benchmarks.md").Funcs(template.FuncMap{
		"config":     func(key string) string { return r.config[key] },
		"versions":   r.versions,
		"busy":       r.busy,
		"has":        func(name string) bool { return len(r.within(name)) > 0 },
		"table":      r.table,
		"duels":      r.duels,
		"roundTrips": r.roundTrips,
		"serverTime": r.serverTime,
		"ahead":      r.ahead,
		"chart":      chart,
	}).Parse(words)
	if err != nil {
		return err
	}
	var page strings.Builder
	if err := t.Execute(&page, nil); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "benchmarks.md"), []byte(page.String()), 0o644)
}

// busy reports whether other programs used more than 10 % of the machine when the run
// began.
func (r *results) busy() bool {
	percent, _ := strconv.ParseFloat(strings.TrimSuffix(r.config["busy"], "%"), 64)
	return percent > 10
}

// versions lists the compared modules with their versions.
func (r *results) versions() string {
	var all []string
	for key, value := range r.config {
		if strings.Contains(key, "/") {
			all = append(all, strings.TrimPrefix(key, "github.com/")+" "+value)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
