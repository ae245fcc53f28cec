package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/convkit/rediskit/internal/redistest"
)

func client(t *testing.T) *http.Client {
	c := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

const message = `{"role": "user", "text": "E amanhã?"}`

func send(t *testing.T, c *http.Client, url string) int {
	t.Helper()
	res, err := c.Post(url, "application/json", strings.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

func TestTheRequestsThatTheWelcomeShowsWork(t *testing.T) {
	d, c := start(t, "", true), client(t)
	urls := regexp.MustCompile(`curl (?:-i )?(http://\S+)`).FindAllStringSubmatch(d.out.String(), -1)
	if len(urls) != 6 {
		t.Fatalf("the welcome shows %d requests: %s", len(urls), d.out)
	}
	for _, url := range urls {
		want := http.StatusOK
		var res *http.Response
		var err error
		if strings.HasSuffix(url[1], "/messages") {
			want = http.StatusCreated
			res, err = c.Post(url[1], "application/json", strings.NewReader(message))
		} else {
			res, err = c.Get(url[1])
		}
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != want || !json.Valid(body) {
			t.Errorf("%s: status %d, want %d: %s", url[1], res.StatusCode, want, body)
		}
	}
	if err := d.stop(); err != nil {
		t.Error(err)
	}
}

// next returns the next event that contains all of want.
func next(t *testing.T, conn *websocket.Conn, want ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
frames:
	for {
		_, frame, err := conn.Read(ctx)
		if err != nil {
			t.Fatalf("while waiting for %q: %v", want, err)
		}
		for _, part := range want {
			if !bytes.Contains(frame, []byte(part)) {
				continue frames
			}
		}
		return frame
	}
}

// browse opens a WebSocket as the Dashboard does.
func (d *running) browse(t *testing.T) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), d.base+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

func TestTheSimulatedSpeakersTalkAndOneExceedsTheLimits(t *testing.T) {
	d := start(t, "", false)
	conn := d.browse(t)
	next(t, conn, "message_answered", eager)
	next(t, conn, "request_denied", eager)
	next(t, conn, "message_answered", "user_2")
	_ = conn.CloseNow()
	if err := d.stop(); err != nil {
		t.Error(err)
	}
}

func TestTwoDemosOnOneServerShowTheSameEvents(t *testing.T) {
	process := redistest.Start(t)
	one, other := start(t, process.Addr(), true), start(t, process.Addr(), true)
	conns, c := []*websocket.Conn{one.browse(t), other.browse(t)}, client(t)
	for _, d := range []*running{one, other} {
		if status := send(t, c, d.messages()); status != http.StatusCreated {
			t.Errorf("status %d", status)
		}
		for _, conn := range conns {
			next(t, conn, "message_answered", "user_1")
		}
	}
	for i, d := range []*running{one, other} {
		_ = conns[i].CloseNow()
		if !strings.Contains(d.out.String(), process.Addr()) {
			t.Errorf("the welcome does not name the server: %s", d.out)
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	}
}
