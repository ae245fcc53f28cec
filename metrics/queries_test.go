package metrics_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	selector = regexp.MustCompile(`(rediskit_\w+)(?:\{([^}]*)\})?\[`)
	label    = regexp.MustCompile(`(\w+)!?=~?"([^"]*)"`)
)

// A query that names a series or a result that does not exist shows nothing, or too much.
func TestTheQueriesOfTheDocumentationNameWhatIsCounted(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	queries := selector.FindAllStringSubmatch(string(text), -1)
	if len(queries) < 4 {
		t.Errorf("%d in doc.go: %v", len(queries), queries)
	}
	counted := values(t, all(t))
	for _, query := range queries {
		wanted := [][]string{{query[1]}} // name and labels, for each choice of "same|stale"
		for _, l := range label.FindAllStringSubmatch(query[2], -1) {
			var longer [][]string
			for _, word := range strings.Split(l[2], "|") {
				for _, labels := range wanted {
					longer = append(longer, append(slices.Clone(labels), l[1]+"="+word))
				}
			}
			wanted = longer
		}
		for _, want := range wanted {
			found := false
			for series := range counted {
				parts := strings.FieldsFunc(series, func(r rune) bool { return strings.ContainsRune("{,}", r) })
				found = found || !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(parts, w) })
			}
			if !found {
				t.Errorf("there is no series %v", want)
			}
		}
	}
}
