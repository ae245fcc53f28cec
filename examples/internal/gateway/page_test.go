package gateway

import (
	"regexp"
	"strings"
	"testing"

	"github.com/convkit/rediskit/internal/redistest"
)

func TestThePageHasAllItsFilesAndLoadsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	s := newService(t, redistest.Mini(t).Addr(), patient, echo)
	home := s.do(t, "GET", "/", "")
	if home.status != 200 || !strings.HasPrefix(home.header.Get("Content-Type"), "text/html") {
		t.Errorf("status %d, %v", home.status, home.header)
	}
	links := regexp.MustCompile(`(?:href|src)="(/[^"]*)"`).FindAllStringSubmatch(home.body, -1)
	if len(links) < 3 {
		t.Errorf("the page needs %v", links)
	}
	for _, link := range links {
		if a := s.do(t, "GET", link[1], ""); a.status != 200 {
			t.Errorf("%s: status %d, %v", link[1], a.status, a.header)
		}
	}
	files, err := page.ReadDir("page")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if contentTypes[regexp.MustCompile(`\.\w+$`).FindString(file.Name())] == "" {
			t.Errorf("%s has no content type", file.Name())
		}
		body := s.do(t, "GET", "/"+strings.Replace(file.Name(), "index.html", "", 1), "").body
		for _, never := range []string{"innerHTML", "insertAdjacentHTML", "document.write", "eval(", "//cdn", "https://"} {
			if strings.Contains(body, never) {
				t.Errorf("%s has %q", file.Name(), never)
			}
		}
	}
}

func TestBothLanguagesHaveTheSameTexts(t *testing.T) {
	t.Parallel()
	source, err := page.ReadFile("page/text.js")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(source), "en: {")
	english, rest, found := strings.Cut(rest, "pt: {")
	portuguese, _, closed := strings.Cut(rest, "};")
	if !found || !closed {
		t.Fatal("text.js does not have the form that this test reads")
	}
	names := func(text string) string {
		var all []string
		for _, match := range regexp.MustCompile(`(\w+): "`).FindAllStringSubmatch(text, -1) {
			all = append(all, match[1])
		}
		return strings.Join(all, " ")
	}
	if a, b := names(english), names(portuguese); a != b || len(a) < 100 {
		t.Errorf("English has %s\nPortuguese has %s", a, b)
	}
	html, err := page.ReadFile("page/index.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`data-text="(\w+)"`).FindAllStringSubmatch(string(html), -1) {
		if !strings.Contains(" "+names(english)+" ", " "+match[1]+" ") {
			t.Errorf("the page uses a text %q that text.js does not have", match[1])
		}
	}
}
