package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/convkit/rediskit/examples/internal/updates"
	"github.com/convkit/rediskit/internal/redistest"
)

// A dashboard is the Dashboard in a browser.
type dashboard struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	errors []string // what the browser wrote to its console
}

// open opens url in a new Chromium.
func open(t *testing.T, url string) *dashboard {
	t.Helper()
	redistest.Require(t, "chromium")
	ctx, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()),
		chromedp.ExecPath("chromium"), chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(time.Minute),
		chromedp.NoSandbox, chromedp.Headless, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("lang", "en"))
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // starts the browser
		t.Fatal(err)
	}
	d := &dashboard{t: t, ctx: ctx}
	var reading sync.WaitGroup
	reading.Go(func() {
		for m, err := range chromedp.Console(ctx) {
			if err != nil {
				return
			}
			d.mu.Lock()
			d.errors = append(d.errors, fmt.Sprintf("%s: %s (%s)", m.Type, m.Text, m.URL))
			d.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Error(err)
		}
		reading.Wait()
	})
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	return d
}

// eval returns the value of a JavaScript expression as text.
func (d *dashboard) eval(expression string) string {
	d.t.Helper()
	got, err := chromedp.Run(d.ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		d.t.Fatal(err)
	}
	return got
}

func (d *dashboard) text(id string) string {
	d.t.Helper()
	return d.eval(fmt.Sprintf("document.getElementById(%q).innerText", id))
}

// shows waits until the element with this id contains all of want.
func (d *dashboard) shows(id string, want ...string) {
	d.t.Helper()
	var last string
	for range 400 {
		last = d.text(id)
		all := true
		for _, part := range want {
			all = all && strings.Contains(last, part)
		}
		if all {
			return
		}
		if err := chromedp.Do(d.ctx, chromedp.Sleep(50*time.Millisecond)); err != nil {
			d.t.Fatal(err)
		}
	}
	d.t.Fatalf("%s never showed %q, but %q", id, want, last)
}

func (d *dashboard) resize(width int64) {
	d.t.Helper()
	_, err := chromedp.Call(d.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: 844, DeviceScaleFactor: 1, Mobile: width < 500,
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

// noErrors fails the test if the browser has written to its console.
func (d *dashboard) noErrors() {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.errors) > 0 {
		d.t.Errorf("the browser's console has %q", d.errors)
	}
}

func (d *dashboard) click(id string) {
	d.t.Helper()
	d.eval(fmt.Sprintf("document.getElementById(%q).click()", id))
}

func TestTheDashboardShowsEventsAndRecoversFromAnOutage(t *testing.T) {
	redistest.Require(t, "chromium")
	proxy := redistest.StartProxy(t, redistest.Start(t).Addr())
	demo, c := start(t, proxy.Addr(), true), client(t)
	page := open(t, demo.base)
	page.shows("stream", "connected")
	page.shows("redis", "connected")
	page.shows("manager", "answers")
	page.shows("no-conversations", "Nobody is talking.")
	page.shows("no-events", "None since")

	// Events, and the conversation that they are about.
	if status := send(t, c, demo.messages()); status != http.StatusCreated {
		t.Fatalf("status %d", status)
	}
	page.shows("events", "message", "user_1", "E amanhã?", "answer")
	page.shows("conversations", "user_1", "answered")
	page.shows("speakers", "user_1")

	// Denials.
	for range 25 {
		send(t, c, demo.messages())
	}
	page.shows("events", "denied", "retry in")
	page.shows("denied", "6")
	page.shows("limits", "100 per 1m")

	// Lists, for the charts.
	list, _, _ := strings.Cut(demo.messages(), "/conversations/")
	for range 4 {
		res, err := c.Get(list + "/conversations")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	page.shows("rate", "75.0")
	redistest.Eventually(t, func() bool {
		return strings.Contains(page.eval(`document.querySelector("#latency-chart svg").getAttribute("aria-label")`), "hit")
	}, "the latency of hits")

	// An outage, and its end.
	proxy.Down()
	page.shows("redis", "away")
	page.shows("notice", "cannot be read")
	page.shows("stream", "connected")
	proxy.Up()
	page.shows("redis", "connected")
	redistest.Eventually(t, func() bool { return page.text("notice") == "" }, "the end of the notice")
	redistest.Eventually(t, func() bool { return send(t, c, demo.messages()) == http.StatusCreated }, "a message is accepted again")
	redistest.Eventually(t, func() bool {
		return strings.Contains(page.eval(`document.querySelector("#events li").innerText`), "user_1")
	}, "a new event")
	if events := page.text("events"); strings.Contains(events, "resync") {
		t.Errorf("nothing was published in the outage, and the page shows a resync: %q", events)
	}

	page.noErrors()
}

// Every program that may publish, or write a session, decides what these contain.
func TestTheDashboardShowsForeignContentAsText(t *testing.T) {
	redistest.Require(t, "chromium")
	process := redistest.Start(t)
	demo, rdb := start(t, process.Addr(), true), process.Client()
	const markup = `<img src="/none" onerror="document.title = 'taken'">`
	rdb.HSet(t.Context(), "session:hostile", map[string]any{
		"speaker_id": markup, "state": strings.Repeat("state", 100), "started_at": 1, "last_activity": 1,
	})
	rdb.Expire(t.Context(), "session:hostile", time.Minute)
	page := open(t, demo.base)
	page.resize(390)
	page.shows("stream", "connected")
	for _, data := range []any{
		nil,
		7,
		[]int{},
		map[string]any{"speaker_id": map[string]int{"toString": 1}, "state": []int{}, "at": "now", "retry_after_ms": "1"},
		map[string]any{"speaker_id": markup + strings.Repeat("x", 1000), "text": strings.Repeat("y", 10_000), "at": 1e300},
		map[string]any{"speaker_id": "user_\u202e1", "text": "the last"},
	} {
		for _, kind := range []string{"state_changed", "request_denied", "__proto__", markup} {
			payload, err := json.Marshal(map[string]any{"conversation_id": "__proto__", "event": kind, "data": data})
			if err != nil {
				t.Fatal(err)
			}
			if err := rdb.Publish(t.Context(), "conversation:updates", payload).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	page.shows("events", markup, "the last", "user_\ufffd1")
	page.shows("conversations", markup)
	if wide := page.eval("document.documentElement.scrollWidth"); wide != "390" {
		t.Errorf("on 390 pixels the page is %s pixels wide", wide)
	}
	if over := page.eval(`(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector(".scroll"))`); over != "0" {
		t.Errorf("the table is %s pixels too wide", over)
	}
	if images := page.eval(`document.querySelectorAll("img").length + document.title`); images != "0Core Gateway" {
		t.Errorf("markup became part of the page: %s", images)
	}
	page.noErrors()
}

// A front is a proxy between a browser and the demo, whose connections can be cut.
type front struct {
	*httptest.Server
	down atomic.Bool
}

func newFront(t *testing.T, demo *running) *front {
	t.Helper()
	base, err := url.Parse(demo.base)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(base) },
		ErrorLog: log.New(io.Discard, "", 0), // of requests that were cut
	}
	f := &front{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.down.Load() {
			panic(http.ErrAbortHandler) // closes the connection without an answer
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *front) cut() {
	f.down.Store(true)
	f.CloseClientConnections()
}

var cutFor = flag.Duration("browser.cut", 3*time.Second, "how long a browser's connection is cut")

func TestTheDashboardMissesNothingWhenItsConnectionIsCut(t *testing.T) {
	redistest.Require(t, "chromium")
	process := redistest.Start(t)
	demo := start(t, process.Addr(), true)
	publisher, err := updates.NewPublisher(process.Client())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	publish := func(times int) {
		for range times {
			publisher.Publish(t.Context(), updates.MessageReceived, "abc", updates.Data{SpeakerID: "user_1", Text: fmt.Sprintf("number %d.", n)})
			n++
		}
	}
	front := newFront(t, demo)
	page := open(t, front.URL)
	page.shows("stream", "connected")
	publish(3)
	page.shows("events", "number 2.")
	front.cut()
	page.shows("stream", "away")
	for began := time.Now(); time.Since(began) < *cutFor; time.Sleep(*cutFor / 30) {
		publish(1)
	}
	front.down.Store(false)
	page.shows("stream", "connected")
	publish(3)
	page.shows("events", fmt.Sprintf("number %d.", n-1))
	var want []string
	for i := range n {
		want = append(want, fmt.Sprintf("user_1 “number %d.”", n-1-i))
	}
	if got := page.eval(`[...document.querySelectorAll("#events .about")].map((e) => e.innerText).join("|")`); got != strings.Join(want, "|") {
		t.Errorf("the page shows %q, want %q", got, want)
	}
	t.Logf("%d events, %d of them during a cut of %v", n, n-6, *cutFor)
}

// A connection can break without a notice, as when a network fails. This stream sends only
// one event, and the page's time-out is shortened to 100 ms. The page then opens another
// stream, which goes on behind that event.
func TestTheDashboardReplacesASilentStream(t *testing.T) {
	redistest.Require(t, "chromium")
	front := newFront(t, start(t, "", true))
	var opened atomic.Int64
	var others sync.Map
	mux := http.NewServeMux()
	mux.Handle("/", front.Config.Handler)
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		if opened.Add(1) == 1 {
			fmt.Fprint(w, "id: 7-7\ndata: {}\n\n")
		} else {
			others.Store(r.URL.RawQuery, true)
		}
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	silent := httptest.NewServer(mux)
	t.Cleanup(silent.Close)
	t.Cleanup(silent.CloseClientConnections)
	page := open(t, "about:blank")
	_, err := chromedp.Call(page.ctx, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{
		Source: "const later = setTimeout; window.setTimeout = (act, ms) => later(act, ms > 10000 ? 100 : ms)",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(page.ctx, chromedp.Navigate(silent.URL)); err != nil {
		t.Fatal(err)
	}
	redistest.Eventually(t, func() bool { return opened.Load() >= 3 }, "another stream, and another")
	others.Range(func(query, _ any) bool {
		if query != "after=7-7" {
			t.Errorf("a later stream was opened with %q", query)
		}
		return true
	})
}

// A browser gives up an event stream that is answered with an error, such as 502 of a proxy
// whose gateway restarts.
func TestTheDashboardOpensAnotherStreamWhenTheBrowserHasGivenUp(t *testing.T) {
	redistest.Require(t, "chromium")
	front := newFront(t, start(t, "", true))
	var opened atomic.Int64
	mux := http.NewServeMux()
	mux.Handle("/", front.Config.Handler)
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		if opened.Add(1) < 3 {
			http.Error(w, "", http.StatusBadGateway)
			return
		}
		front.Config.Handler.ServeHTTP(w, r)
	})
	refusing := httptest.NewServer(mux)
	t.Cleanup(refusing.Close)
	t.Cleanup(refusing.CloseClientConnections)
	open(t, refusing.URL).shows("stream", "connected")
}

func TestTheDashboardHasLanguagesThemesWidthsAndAccessibleNames(t *testing.T) {
	redistest.Require(t, "chromium")
	demo := start(t, "", true)
	page := open(t, demo.base)
	page.shows("stream", "connected")
	if lang := page.eval("document.documentElement.lang"); lang != "en" {
		t.Errorf("lang is %q", lang)
	}
	page.click("language")
	page.shows("stream", "conectado")
	page.shows("no-conversations", "Ninguém está falando.")
	if lang := page.eval("document.documentElement.lang"); lang != "pt-BR" {
		t.Errorf("after the change lang is %q", lang)
	}

	background := "getComputedStyle(document.body).backgroundColor"
	before := page.eval(background)
	page.click("theme")
	if after := page.eval(background); after == before {
		t.Errorf("both themes have the background %s", after)
	}
	if err := chromedp.Do(page.ctx, chromedp.Reload()); err != nil {
		t.Fatal(err)
	}
	page.shows("stream", "conectado")
	if after := page.eval(background); after == before {
		t.Error("the theme was not kept")
	}

	for _, width := range []int64{390, 1180} {
		page.resize(width)
		if wide := page.eval("document.documentElement.scrollWidth"); wide != fmt.Sprint(width) {
			t.Errorf("on %d pixels the page is %s pixels wide", width, wide)
		}
	}
	// Every control has a name and can be reached with the keyboard.
	if nameless := page.eval(`[...document.querySelectorAll("button, [tabindex='0'], section")].filter(
		(e) => !(e.innerText.trim() && e.tagName === "BUTTON") && !e.getAttribute("aria-label") && !e.getAttribute("aria-labelledby")).length`); nameless != "0" {
		t.Errorf("%s elements have no name", nameless)
	}
}
