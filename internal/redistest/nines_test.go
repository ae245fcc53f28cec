package redistest

import "testing"

func TestNinesNeedTenTimesTheirInverse(t *testing.T) {
	t.Parallel()
	for checks, want := range map[int]string{
		0: "0 %", 99: "0 %", 100: "90 %", 999: "90 %", 1000: "99 %", 9999: "99 %",
		10_000: "99.9 %", 9_999_999: "99.999 %", 10_000_000: "99.9999 %",
	} {
		if got := Nines(checks); got != want {
			t.Errorf("%d checks prove %s, want %s", checks, got, want)
		}
	}
}
