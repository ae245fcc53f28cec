package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/convkit/rediskit/internal/redistest"
)

// A dashboard is the Dashboard in a browser.
type dashboard struct {
	t   *testing.T
	ctx context.Context

	mu    sync.Mutex
	wrong []string // what the browser complained of
}

// open opens url in a Chromium of its own. Where none is installed the test is
// skipped, or fails if REDISTEST_REQUIRE is set.
func open(t *testing.T, url string) *dashboard {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("REDISTEST_REQUIRE") == "1" {
			t.Fatal("chromium is not installed")
		}
		t.Skip("chromium is not installed")
	}
	ctx, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()),
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(time.Minute),
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
	var listening sync.WaitGroup
	listening.Go(func() {
		for m, err := range chromedp.Console(ctx) {
			if err != nil {
				return
			}
			d.mu.Lock()
			d.wrong = append(d.wrong, fmt.Sprintf("%s: %s (%s)", m.Type, m.Text, m.URL))
			d.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Error(err)
		}
		listening.Wait()
	})
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	return d
}

// eval is the value of a JavaScript expression, as text.
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

// shows waits until the element of id has all of want in it.
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

func (d *dashboard) click(id string) {
	d.t.Helper()
	d.eval(fmt.Sprintf("document.getElementById(%q).click()", id))
}

func TestTheDashboardShowsWhatGoesOnAndSurvivesAnOutage(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil && os.Getenv("REDISTEST_REQUIRE") != "1" {
		t.Skip("chromium is not installed")
	}
	proxy := redistest.StartProxy(t, redistest.Start(t).Addr())
	demo, c := start(t, proxy.Addr(), true), client(t)
	page := open(t, demo.base)
	page.shows("socket", "connected")
	page.shows("redis", "connected")
	page.shows("manager", "answers")
	page.shows("no-conversations", "Nobody is talking.")
	page.shows("no-events", "None since")

	// Events, and the conversation that they are about.
	if status := say(t, c, demo.talk()); status != http.StatusCreated {
		t.Fatalf("status %d", status)
	}
	page.shows("events", "message", "user_1", "E amanhã?", "answer")
	page.shows("conversations", "user_1", "answered")
	page.shows("speakers", "user_1")

	// Denials.
	for range 25 {
		say(t, c, demo.talk())
	}
	page.shows("events", "denied", "retry in")
	page.shows("denied", "6")
	page.shows("limits", "100 per 1m")

	// Lists, for the charts.
	list, _, _ := strings.Cut(demo.talk(), "/conversations/")
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

	// An outage: Redis is away, and then it is back.
	proxy.Down()
	page.shows("redis", "away")
	page.shows("notice", "cannot be read")
	page.shows("socket", "connected")
	proxy.Up()
	page.shows("redis", "connected")
	page.shows("events", "resync")
	redistest.Eventually(t, func() bool { return page.text("notice") == "" }, "the end of the notice")
	redistest.Eventually(t, func() bool { return say(t, c, demo.talk()) == http.StatusCreated }, "a message that is taken again")
	redistest.Eventually(t, func() bool {
		return strings.Contains(page.eval(`document.querySelector("#events li").innerText`), "user_1")
	}, "a new event ahead of the resync")

	page.mu.Lock()
	defer page.mu.Unlock()
	if len(page.wrong) > 0 {
		t.Errorf("the browser complained: %q", page.wrong)
	}
}

func TestTheDashboardIsForEverybody(t *testing.T) {
	demo := start(t, "", true)
	page := open(t, demo.base)
	page.shows("socket", "connected")
	if lang := page.eval("document.documentElement.lang"); lang != "en" {
		t.Errorf("lang is %q", lang)
	}
	page.click("language")
	page.shows("socket", "conectado")
	page.shows("no-conversations", "Ninguém está falando.")
	if lang := page.eval("document.documentElement.lang"); lang != "pt-BR" {
		t.Errorf("after the change lang is %q", lang)
	}

	ground := "getComputedStyle(document.body).backgroundColor"
	before := page.eval(ground)
	page.click("theme")
	if after := page.eval(ground); after == before {
		t.Errorf("both themes have the ground %s", after)
	}
	if err := chromedp.Do(page.ctx, chromedp.Reload()); err != nil {
		t.Fatal(err)
	}
	page.shows("socket", "conectado")
	if after := page.eval(ground); after == before {
		t.Error("the theme was forgotten")
	}

	for _, width := range []int64{390, 1180} {
		_, err := chromedp.Call(page.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: width, Height: 844, DeviceScaleFactor: 1, Mobile: width < 500,
		})
		if err != nil {
			t.Fatal(err)
		}
		if wide := page.eval("document.documentElement.scrollWidth"); wide != fmt.Sprint(width) {
			t.Errorf("on %d pixels the page is %s wide", width, wide)
		}
	}
	// Everything that can be used has a name, and can be reached with the keyboard.
	if nameless := page.eval(`[...document.querySelectorAll("button, [tabindex='0'], section")].filter(
		(e) => !(e.innerText.trim() && e.tagName === "BUTTON") && !e.getAttribute("aria-label") && !e.getAttribute("aria-labelledby")).length`); nameless != "0" {
		t.Errorf("%s elements have no name", nameless)
	}
}
