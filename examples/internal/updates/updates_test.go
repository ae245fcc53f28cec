package updates

import (
	"strings"
	"testing"
)

func TestATextIsClippedToOneShortLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                      "",
		" E\n\tamanhã? ":                        "E amanhã?",
		strings.Repeat("ã", maxText):            strings.Repeat("ã", maxText),
		strings.Repeat("ã", maxText) + "x":      strings.Repeat("ã", maxText) + "…",
		strings.Repeat("\U0001f600", 3*maxText): strings.Repeat("\U0001f600", maxText) + "…",
	} {
		if got := clip(text); got != want {
			t.Errorf("%.20q became %.20q, want %.20q", text, got, want)
		}
	}
}
