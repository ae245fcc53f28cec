package page

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// tenRounds returns the lines of a contest in which everything gets slower from round to
// round. The ratios between the contestants stay the same, except that of "even".
func tenRounds(contest, unit string, values map[string]float64) string {
	var b strings.Builder
	for round := range 10 {
		for _, by := range []string{"rediskit", "rediskit-tuned", "slow", "fast", "even", "bare-GET"} {
			if value, takesPart := values[by]; takesPart {
				if by == "even" {
					value *= 1 + 0.1*float64(round%2) - 0.05
				}
				fmt.Fprintf(&b, "Benchmark%s/by=%s 1 %v %s\n", contest, by, value*float64(1+round), unit)
			}
		}
	}
	return b.String()
}

func parse(t *testing.T, text string) *results {
	t.Helper()
	r, err := read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestARatioComparesTurnsOfTheSameRound(t *testing.T) {
	t.Parallel()
	r := parse(t, tenRounds("Hit/goroutines=2", "ns/op", map[string]float64{"rediskit": 100, "slow": 200, "fast": 50, "even": 100}))
	got, err := r.table("Hit", "sec/op")
	if err != nil {
		t.Fatal(err)
	}
	want := `|  | 2 goroutines |
|---|---|
| **rediskit** | 550 ns |
| slow | 0.50 (0.50–0.50) |
| fast | **2.00 (2.00–2.00)** |
| even | ≈ 1.00 (0.95–1.05) |
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTheRatioOfARateIsInverted(t *testing.T) {
	t.Parallel()
	r := parse(t, tenRounds("Deliver", "deliveries/s", map[string]float64{"rediskit": 100, "fast": 200}))
	got, ok := r.contests[0].ratio("fast", "deliveries/s")
	if !ok || got.median != 2 || !got.ahead() {
		t.Errorf("half the rate is a ratio of %v, want 2", got)
	}
}

func TestContestantsThatAreAheadAreListedExceptFloorsAndAllocations(t *testing.T) {
	t.Parallel()
	all := map[string]float64{"rediskit": 100, "rediskit-tuned": 20, "slow": 200, "fast": 50, "even": 100, "bare-GET": 10}
	r := parse(t, tenRounds("Hit/value=few/goroutines=2", "ns/op", all)+
		tenRounds("Hit/value=few/goroutines=16", "ns/op", all)+
		tenRounds("Other", "allocs/op", all)+
		tenRounds("Trips/Other", "trips/op", all))
	want := `| contest | ahead | in | ratio |
|---|---|---|---|
| ` + "`Hit/value=few`" + ` | fast | time | 2 goroutines: 2.00, 16 goroutines: 2.00 |
`
	if got := r.ahead(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAfterOneRoundNoContestantIsAhead(t *testing.T) {
	t.Parallel()
	r := parse(t, "BenchmarkHit/by=rediskit 1 100 ns/op\nBenchmarkHit/by=fast 1 50 ns/op\n")
	if got := r.ahead(); got != "Nowhere.\n" {
		t.Errorf("after one round: %s", got)
	}
	if got, _ := r.contests[0].ratio("fast", "sec/op"); got.String() != "2.00" {
		t.Errorf("the ratio is %v, want one without an interval", got)
	}
}

func TestAMissingContestIsAnError(t *testing.T) {
	t.Parallel()
	r := parse(t, "BenchmarkHit/by=rediskit 1 100 ns/op\n")
	_, table := r.table("Miss", "sec/op")
	_, duels := r.duels("sec/op", "Miss")
	_, bars := r.bars("title", "Miss", "sec/op")
	_, unit := r.table("Hit", "reads/s")
	for i, err := range []error{table, duels, bars, unit} {
		if err == nil {
			t.Errorf("no error from call %d", i)
		}
	}
}

func TestAChartIsValidXMLAndHasABarForEachFigure(t *testing.T) {
	t.Parallel()
	all := map[string]float64{"rediskit": 1, "slow": 2, "fast": 1, "bare-GET": 1}
	r := parse(t, tenRounds("Hit/goroutines=2", "ns/op", all)+tenRounds("Hit/goroutines=16", "ns/op", all))
	svg, err := r.bars("more & <less>", "Hit", "sec/op", "fast")
	if err != nil {
		t.Fatal(err)
	}
	classes := map[string]int{}
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			i := slices.IndexFunc(e.Attr, func(a xml.Attr) bool { return a.Name.Local == "class" })
			classes[e.Attr[i].Value]++
		}
	}
	if classes["own"] != 2 || classes["peer"] != 2 || classes["floor"] != 2 {
		t.Errorf("bars: %v, want two of each kind, and none of the contestant that is left out", classes)
	}
}

func TestQuantitiesHaveThreeSignificantDigits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value      float64
		unit, want string
	}{
		{2.714e-8, "sec/op", "27.1 ns"},
		{1.2345e-4, "sec/op", "123 µs"},
		{0.1504, "p99-sec", "150 ms"},
		{2, "sec/op", "2 s"},
		{0, "trips/op", "0"},
		{123456, "reads/s", "123,000"},
		{12345678, "deliveries/s", "12,300,000"},
		{1, "loads/op", "1"},
	} {
		if got := quantity(c.value, c.unit); got != c.want {
			t.Errorf("%v %s is shown as %s, want %s", c.value, c.unit, got, c.want)
		}
	}
}

func TestTheServersTimeStandsWithItsCommands(t *testing.T) {
	t.Parallel()
	r := parse(t, "BenchmarkServer/Session/call=Touch/by=rediskit 100 7e-06 server-sec/op 1 commands/op 4 in-scripts/op\n"+
		"BenchmarkServer/Session/call=Touch/by=HSET,PEXPIRE,HGETALL 100 2e-06 server-sec/op 3 commands/op 0 in-scripts/op\n")
	want := `|  | rediskit | others |
|---|---|---|
| ` + "`Session/call=Touch`" + ` | 7 µs (1, 4 in scripts) | HSET, PEXPIRE, HGETALL 2 µs (3) |
`
	if got := r.serverTime(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
