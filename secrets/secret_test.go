package secrets_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/convkit/rediskit/secrets"
)

const canary = "c4nary-password"

type holder struct {
	Public  secrets.Secret
	private secrets.Secret
	Pointer *secrets.Secret
	nested  map[string]any
}

func TestASecretNeverPrints(t *testing.T) {
	t.Parallel()
	s := secrets.New(canary)
	h := holder{s, s, &s, map[string]any{"s": s, "p": &s}}
	hex := fmt.Sprintf("%x", canary)
	for name, value := range map[string]any{
		"value": s, "pointer": &s, "struct": h, "pointer to struct": &h,
		"slice": []secrets.Secret{s}, "map": map[string]secrets.Secret{"k": s}, "any": []any{s, h},
	} {
		for _, verb := range strings.Split("%v %+v %#v %s %q %x %X % x %d %o %b %c %U %t %e %p %T %#x %10.3s", " ") {
			text := fmt.Sprintf(verb, value)
			if strings.Contains(text, canary) || strings.Contains(strings.ToLower(text), hex) || strings.Contains(text, canary[:3]) {
				t.Errorf("fmt %s of a %s shows %s", verb, name, text)
			}
		}
		if text := fmt.Sprint(value) + fmt.Sprintln(value); strings.Contains(text, canary) {
			t.Errorf("Sprint of a %s shows %s", name, text)
		}
	}
}

func TestASecretPrintsRedactedWithEveryVerb(t *testing.T) {
	t.Parallel()
	s := secrets.New(canary)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, s); got != "[redacted]" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
}

func TestASecretIsRedactedInLogsAndJSON(t *testing.T) {
	t.Parallel()
	s := secrets.New(canary)
	h := holder{Public: s, private: s, Pointer: &s}
	var out bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("connecting", "secret", s, "pointer", &s, "holder", h, "any", []any{s})
	}
	encoded, err := json.Marshal(map[string]any{"s": s, "h": h})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	if strings.Contains(out.String(), canary) {
		t.Errorf("the text is shown: %s", out.String())
	}
	if want := `"s":"[redacted]"`; !strings.Contains(string(encoded), want) {
		t.Errorf("JSON is %s, want %s in it", encoded, want)
	}
}

func TestRevealReturnsTheText(t *testing.T) {
	t.Parallel()
	if got := secrets.New(" a b ").Reveal(); got != " a b " {
		t.Errorf("got %q", got)
	}
	var zero secrets.Secret
	if zero.Reveal() != "" || !zero.IsZero() || !secrets.New("").IsZero() || secrets.New("x").IsZero() {
		t.Error("the zero Secret is not the empty text")
	}
}

func TestGenerateGives256BitsInHex(t *testing.T) {
	t.Parallel()
	a, b := secrets.Generate().Reveal(), secrets.Generate().Reveal()
	if a == b || !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(a) {
		t.Errorf("unlike two passwords of 64 hexadecimal characters: lengths %d and %d", len(a), len(b))
	}
}
