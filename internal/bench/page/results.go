// Package page makes a Markdown page with tables and charts from the results of the
// contests. benchmarks.md.tmpl has the text; every figure is computed.
package page

import (
	"errors"
	"io"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// own is the contestant that all others are compared with.
const own = "rediskit"

// results are the results of one run.
type results struct {
	config   map[string]string
	contests []*contest
}

// A contest has the lines that differ only in /by= and in the round.
type contest struct {
	name  string
	by    []string         // rediskit, then the others in their order
	cells map[string]*cell // by contestant
}

// A cell has the results of one contestant in one contest.
type cell struct {
	units  []string             // in their order
	values map[string][]float64 // by unit, a value per round
}

// read parses results in the format of Go's benchmarks.
func read(from io.Reader) (*results, error) {
	r := &results{config: map[string]string{}}
	lines := benchfmt.NewReader(from, "results")
	for lines.Scan() {
		line, ok := lines.Result().(*benchfmt.Result)
		if !ok {
			continue
		}
		for _, c := range line.Config {
			r.config[c.Key] = string(c.Value)
		}
		name, by, found := strings.Cut(line.Name.String(), "/by=")
		if !found {
			continue
		}
		cell := r.contest(name).cell(by)
		for _, v := range line.Values {
			if cell.values[v.Unit] == nil {
				cell.units = append(cell.units, v.Unit)
			}
			cell.values[v.Unit] = append(cell.values[v.Unit], v.Value)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(r.contests) == 0 {
		return nil, errors.New("no results")
	}
	return r, nil
}

func (r *results) contest(name string) *contest {
	for _, c := range r.contests {
		if c.name == name {
			return c
		}
	}
	c := &contest{name: name, cells: map[string]*cell{}}
	r.contests = append(r.contests, c)
	return c
}

// within returns the contest with that name, or its levels if it has several.
func (r *results) within(name string) []*contest {
	var some []*contest
	for _, c := range r.contests {
		if c.name == name || strings.HasPrefix(c.name, name+"/") {
			some = append(some, c)
		}
	}
	return some
}

func (c *contest) cell(by string) *cell {
	if c.cells[by] == nil {
		if by == own {
			c.by = append([]string{own}, c.by...)
		} else {
			c.by = append(c.by, by)
		}
		c.cells[by] = &cell{values: map[string][]float64{}}
	}
	return c.cells[by]
}

// level splits the level off a name, if its last part is a number as in Hit/goroutines=2.
func level(name string) (of, level string) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 || strings.Trim(name[strings.LastIndexByte(name, '=')+1:], "0123456789") != "" {
		return name, ""
	}
	return name[:i], name[i+1:]
}

// isOwn reports whether a contestant is rediskit, also with other settings.
func isOwn(by string) bool { return strings.HasPrefix(by, own) }

// isFloor reports whether a contestant does less than the others. It shows what is
// possible, and does not compete.
func isFloor(by string) bool {
	return strings.HasPrefix(by, "bare-") || strings.HasPrefix(by, "redis-benchmark")
}

func (c *contest) rivals() []string {
	return slices.DeleteFunc(slices.Clone(c.by), func(by string) bool { return by == own })
}
