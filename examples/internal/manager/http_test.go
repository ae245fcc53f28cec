package manager

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/convkit/rediskit/examples/internal/web"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestInvalidRequestsAreRefusedInJSON(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	s := newService(t, r.Addr(), r.Prefix())
	talk := "/conversations/" + s.talk + "/messages"
	const js = "application/json"
	message := func(text string) string {
		body, _ := json.Marshal(newMessage{"user", text})
		return string(body)
	}
	for name, c := range map[string]struct {
		method, path, contentType, body string
		status                          int
		says                            string
	}{
		"unknown path":         {"GET", "/", "", "", 404, "no such path"},
		"unknown conversation": {"POST", "/conversations/none/messages", js, message("Oi"), 404, "no such conversation"},
		"two slashes":          {"GET", "/speakers//conversations", "", "", 404, "no such path"},
		"not UTF-8":            {"POST", talk, js, "{\"role\": \"user\", \"text\": \"\xff\"}", 400, "must be UTF-8"},
		"NUL":                  {"POST", talk, js, `{"role": "user", "text": "a\u0000"}`, 400, "NUL"},
		"wrong method":         {"DELETE", talk, "", "", 405, "takes POST"},
		"wrong method of GET":  {"POST", "/stats", "", "", 405, "takes GET"},
		"no content type":      {"POST", talk, "", message("Oi"), 415, "application/json"},
		"form":                 {"POST", talk, "application/x-www-form-urlencoded", "a=b", 415, "application/json"},
		"no body":              {"POST", talk, js, "", 400, "must be JSON"},
		"broken JSON":          {"POST", talk, js, `{"role": "user"`, 400, "must be JSON"},
		"array":                {"POST", talk, js, `[]`, 400, "must be JSON"},
		"null":                 {"POST", talk, js, `null`, 400, "role must be"},
		"wrong type":           {"POST", talk, js, `{"role": "user", "text": 7}`, 400, "text must be a string"},
		"unknown field":        {"POST", talk, js, `{"role": "user", "text": "Oi", "id": "1"}`, 400, "a field besides"},
		"two values":           {"POST", talk, js, message("Oi") + message("Oi"), 400, "nothing after"},
		"unknown role":         {"POST", talk, js, `{"role": "system", "text": "Oi"}`, 400, "role must be"},
		"empty text":           {"POST", talk, js, message(" \n"), 400, "must not be empty"},
		"long text":            {"POST", talk, js, message(strings.Repeat("ã", maxTextRunes+1)), 400, "at most 4000"},
		"long body":            {"POST", talk, js, message(strings.Repeat("ã", web.MaxBodyBytes)), 413, "at most 65536"},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.do(t, c.method, c.path, c.contentType, c.body)
			var problem struct{ Error string }
			if err := json.Unmarshal(a.body, &problem); err != nil {
				t.Fatalf("the answer is not JSON: %q", a.body)
			}
			if a.status != c.status || !strings.Contains(problem.Error, c.says) {
				t.Errorf("%d %q; want %d and %q", a.status, problem.Error, c.status, c.says)
			}
			if got := a.header.Get("Content-Type"); got != js {
				t.Errorf("Content-Type %q", got)
			}
			if allow := a.header.Get("Allow"); (a.status == http.StatusMethodNotAllowed) != (allow != "") {
				t.Errorf("status %d with Allow %q", a.status, allow)
			}
		})
	}
	if got := s.conversations(t).list(t); got[0].LastMessage == "Oi" {
		t.Error("a refused message was stored")
	}
}

func TestATextOfTheLongestAllowedLengthIsAccepted(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	s := newService(t, r.Addr(), r.Prefix())
	if a := s.say(t, strings.Repeat("\U0001f600", maxTextRunes)); a.status != http.StatusCreated {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

func TestHostileIDsReachNoOtherKeys(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	s := newService(t, r.Addr(), "user_0")
	s.conversations(t)
	own := `a *{b}:list ü"'--`
	addSpeaker(t, s.store.store, own)
	if a := s.get(t, "/speakers/"+url.PathEscape(own)+"/conversations"); a.status != http.StatusOK {
		t.Errorf("a speaker with an odd id: status %d: %s", a.status, a.body)
	}
	for _, id := range []string{
		" ", "*", "?", "{}", "{user_0}", "}", "user_0 ", "user_0:list", "user_0:list\r\nDEL x", "user_\x00", "a\nb",
		"%", "..", "/", "'; DROP TABLE speakers; --", "\xff", "user_0\u2028", strings.Repeat("x", 129), strings.Repeat("x", 9000),
	} {
		a := s.get(t, "/speakers/"+url.PathEscape(id)+"/conversations")
		if a.status < 400 || a.status > 499 {
			t.Errorf("id %.20q: status %d: %.100s", id, a.status, a.body)
		}
		body := `{"role": "user", "text": "Oi"}`
		a = s.do(t, "POST", "/conversations/"+url.PathEscape(id)+"/messages", "application/json", body)
		if a.status < 400 || a.status > 499 {
			t.Errorf("conversation %.20q: status %d: %.100s", id, a.status, a.body)
		}
	}
	for _, key := range r.Mini().Keys() {
		switch {
		case key == "conversations:user_0:list", key == "conversations:"+own+":list":
		case strings.HasPrefix(key, "rediskit:lease:"): // negative caching of unknown speakers
		default:
			t.Errorf("there is a key %q", key)
		}
	}
}
