package page

import (
	"fmt"
	"slices"
	"strings"
)

// table returns a table with a row for each contestant and a column for each level of a
// contest. The row of rediskit has its measured values, the other rows have ratios.
func (r *results) table(name string, units ...string) (string, error) {
	contests := r.within(name)
	if len(contests) == 0 {
		return "", fmt.Errorf("no contest is named %s", name)
	}
	head := []string{""}
	rows := [][]string{{"**" + own + "**"}}
	for _, by := range contests[0].rivals() {
		rows = append(rows, []string{label(by)})
	}
	for _, c := range contests {
		for _, unit := range units {
			if c.cells[own] == nil || len(c.cells[own].values[unit]) == 0 {
				return "", fmt.Errorf("%s has no %s in %s", own, unit, c.name)
			}
			head = append(head, column(c, unit, len(units) > 1))
			rows[0] = append(rows[0], c.own(unit))
			for i, by := range contests[0].rivals() {
				text := ""
				if ratio, ok := c.ratio(by, unit); ok {
					text = ratio.String()
				}
				rows[i+1] = append(rows[i+1], text)
			}
		}
	}
	return markdown(head, rows), nil
}

// duels returns a table with a row for each contest and rival. A row has the values of
// rediskit and the ratios.
func (r *results) duels(unit string, names ...string) (string, error) {
	var head []string
	var rows [][]string
	for _, name := range names {
		contests := r.within(name)
		if len(contests) == 0 {
			return "", fmt.Errorf("no contest is named %s", name)
		}
		head = []string{"", "against"}
		_, what, _ := strings.Cut(name, "=")
		for _, by := range contests[0].rivals() {
			row := []string{what, label(by)}
			for _, c := range contests {
				head = append(head, column(c, unit, false))
				text := ""
				if ratio, ok := c.ratio(by, unit); ok {
					text = c.own(unit) + ": " + ratio.String()
				}
				row = append(row, text)
			}
			head = head[:2+len(contests)]
			rows = append(rows, row)
		}
	}
	return markdown(head, rows), nil
}

// roundTrips returns a table with the round trips of each call.
func (r *results) roundTrips() string {
	var rows [][]string
	for _, c := range r.within("Trips") {
		var others []string
		for _, by := range c.rivals() {
			others = append(others, label(by)+" "+digits(c.median(by, "trips/op")))
		}
		rows = append(rows, []string{
			"`" + strings.TrimPrefix(c.name, "Trips/") + "`", c.own("trips/op"), strings.Join(others, ", "),
		})
	}
	return markdown([]string{"", own, "others"}, rows)
}

// serverTime returns a table with what the server itself does for one call.
func (r *results) serverTime() string {
	var rows [][]string
	for _, c := range r.within("Server") {
		row := []string{"`" + strings.TrimPrefix(c.name, "Server/") + "`"}
		var others []string
		for _, by := range append([]string{own}, c.rivals()...) {
			text := quantity(c.median(by, "server-sec/op"), "sec/op") + " (" + digits(c.median(by, "commands/op"))
			if inside := c.median(by, "in-scripts/op"); inside > 0 {
				text += ", " + digits(inside) + " in scripts"
			}
			if text += ")"; by == own {
				row = append(row, text)
			} else {
				others = append(others, label(by)+" "+text)
			}
		}
		rows = append(rows, append(row, strings.Join(others, "; ")))
	}
	return markdown([]string{"", own, "others"}, rows)
}

// ahead returns a table of the contests in which a rival is better than rediskit, with the
// ratios. It ignores allocations, round trips and floors.
func (r *results) ahead() string {
	type where struct{ contest, by, unit string }
	var rows [][]string
	at := map[where]int{}
	for _, c := range r.contests {
		of, level := level(c.name)
		for _, by := range c.rivals() {
			for _, unit := range c.cells[by].units {
				ratio, ok := c.ratio(by, unit)
				if !ok || !ratio.ahead() || isOwn(by) || isFloor(by) || unit == "allocs/op" || unit == "trips/op" || strings.HasPrefix(c.name, "Server/") {
					continue
				}
				found := strings.TrimPrefix(levelLabel(level)+": "+number(ratio.median), ": ")
				if i, again := at[where{of, by, unit}]; again {
					rows[i][3] += ", " + found
					continue
				}
				at[where{of, by, unit}] = len(rows)
				rows = append(rows, []string{"`" + of + "`", label(by), unitLabel(unit), found})
			}
		}
	}
	if len(rows) == 0 {
		return "Nowhere.\n"
	}
	return markdown([]string{"contest", "ahead", "in", "ratio"}, rows)
}

func (c *contest) median(by, unit string) float64 {
	return summary(slices.Clone(c.cells[by].values[unit])).median
}

func (c *contest) own(unit string) string { return quantity(c.median(own, unit), unit) }

func column(c *contest, unit string, withUnit bool) string {
	_, level := level(c.name)
	text := levelLabel(level)
	switch {
	case text == "":
		text = unitLabel(unit)
	case withUnit:
		text += ", " + unitLabel(unit)
	}
	return text
}

// levelLabel turns goroutines=2 into "2 goroutines".
func levelLabel(level string) string {
	what, n, _ := strings.Cut(level, "=")
	if n == "1" {
		what = strings.TrimSuffix(what, "s")
	}
	return strings.TrimSpace(n + " " + what)
}

func unitLabel(unit string) string {
	switch {
	case unit == "p99-sec":
		return "p99"
	case isTime(unit):
		return "time"
	}
	return strings.TrimSuffix(unit, "/op")
}

// spelled replaces the names in the results, which benchstat can read, by the usual names.
var spelled = strings.NewReplacer("encoding-json", "encoding/json", "go-redis-cache", "go-redis/cache",
	"ulule-limiter", "ulule/limiter", "+", " + ", ",", ", ", own+"-", own+", ")

// label returns the name of a contestant on the page. Floors are in italics.
func label(by string) string {
	by = spelled.Replace(by)
	if isFloor(by) {
		return "*" + strings.ReplaceAll(by, "-", " ") + "*"
	}
	return by
}

func markdown(head []string, rows [][]string) string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(head)
	b.WriteString(strings.Repeat("|---", len(head)) + "|\n")
	for _, row := range rows {
		line(row)
	}
	return b.String()
}
