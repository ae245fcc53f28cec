package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/convkit/rediskit/examples/internal/exampletest"
	"github.com/convkit/rediskit/examples/internal/updates"
	"github.com/convkit/rediskit/internal/redistest"
)

// A stream is the event stream of a dashboard.
type stream struct {
	t     *testing.T
	lines *bufio.Scanner
	close func() error
	id    string // of the last event that had one
}

// openStream opens an event stream at base with these header fields.
func openStream(t *testing.T, base string, fields ...string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	// A small kernel buffer, so that the gateway soon notices a browser that does not read.
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return conn, conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("status %d, %v", res.StatusCode, res.Header)
	}
	s := &stream{t: t, lines: bufio.NewScanner(res.Body), close: res.Body.Close}
	s.lines.Buffer(nil, 1<<20)
	return s
}

// next returns the data of the next event that contains want, and skips others. It returns
// false at the end of the stream.
func (s *stream) next(want string) (string, bool) {
	s.t.Helper()
	for s.lines.Scan() {
		name, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch name {
		case "id":
			s.id = value
		case "data":
			if strings.Contains(value, want) {
				return value, true
			}
		case "retry", "":
		default:
			s.t.Errorf("the stream has %q", s.lines.Text())
		}
	}
	return "", false
}

// texts returns the texts of the next n events of a conversation.
func (s *stream) texts(conversation string, n int) (all []string) {
	s.t.Helper()
	for range n {
		data, ok := s.next(conversation)
		if !ok {
			s.t.Fatalf("the stream ended after %q: %v", all, s.lines.Err())
		}
		all = append(all, textOf(s.t, data))
	}
	return all
}

// A numbered publishes numbered events of a conversation as the services do.
type numbered struct {
	t            *testing.T
	publisher    *updates.Publisher
	conversation string
	n            int
}

func newNumbered(t *testing.T, addr, conversation string) *numbered {
	t.Helper()
	publisher, err := updates.NewPublisher(exampletest.Dial(t, addr))
	if err != nil {
		t.Fatal(err)
	}
	return &numbered{t: t, publisher: publisher, conversation: conversation}
}

// publish publishes n more events and returns their texts.
func (p *numbered) publish(n int) (texts []string) {
	p.t.Helper()
	for range n {
		text := fmt.Sprintf("number %d", p.n)
		p.n++
		p.publisher.Publish(p.t.Context(), updates.MessageReceived, p.conversation, updates.Data{Text: text})
		texts = append(texts, text)
	}
	if got := p.publisher.Published(); got != uint64(p.n) {
		p.t.Fatalf("%d events were published, want %d", got, p.n)
	}
	return texts
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the stream has %q, want %q", got, want)
	}
}

func TestAnEventStreamThatWasCutGoesOnBehindItsLastEvent(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		one, other := newService(t, r.Addr(), patient, echo), newService(t, r.Addr(), patient, echo)
		p := newNumbered(t, r.Addr(), r.Prefix())
		cut := openStream(t, one.url+"/events")
		before := p.publish(3)
		same(t, cut.texts(r.Prefix(), 3), before)
		if err := cut.close(); err != nil {
			t.Fatal(err)
		}
		missed := p.publish(20)
		after := "?after=" + url.QueryEscape(cut.id)
		streams := map[string]*stream{
			"Last-Event-ID":          openStream(t, one.url+"/events", "Last-Event-ID", cut.id),
			"of another gateway":     openStream(t, other.url+"/events", "Last-Event-ID", cut.id),
			"the parameter":          openStream(t, one.url+"/events"+after),
			"the parameter is older": openStream(t, one.url+"/events?after=1-1", "Last-Event-ID", cut.id),
		}
		want := append(missed, p.publish(3)...)
		for name, s := range streams {
			if got := s.texts(r.Prefix(), len(want)); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: the stream has %q, want %q", name, got, want)
			}
			if s.id <= cut.id {
				t.Errorf("%s: the last event has the id %s, and the one before the cut %s", name, s.id, cut.id)
			}
		}
	})
}

func textOf(t *testing.T, data string) string {
	t.Helper()
	var e updates.Event
	if err := json.Unmarshal([]byte(data), &e); err != nil {
		t.Errorf("%q: %v", data, err)
	}
	return e.Data.Text
}

// A position that the history does not have says that events are missing, whatever it is.
func TestAnUnknownLastEventIDBecomesAResync(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		s, p := newService(t, r.Addr(), patient, echo), newNumbered(t, r.Addr(), r.Prefix())
		p.publish(1)
		for _, id := range []string{
			"x", "-", "0", "0-0", "1-1", "01-1", "-1-1", "+", "$", "1-1 ", "1e3-1", "1-18446744073709551616",
			"99999999999999999999-1", "18446744073709551615-1", "\xff\xfe", "{}", strings.Repeat("9", 4000),
		} {
			for name, stream := range map[string]*stream{
				"header":    openStream(t, s.url+"/events", "Last-Event-ID", id),
				"parameter": openStream(t, s.url+"/events?after="+url.QueryEscape(id)),
			} {
				if got, _ := stream.next(""); got != string(resync) {
					t.Errorf("behind the %s %.20q the stream begins with %s", name, id, got)
				}
				want := p.publish(1)[0]
				if _, ok := stream.next(want + `"`); !ok {
					t.Errorf("behind the %s %.20q comes no event", name, id)
				}
				_ = stream.close()
			}
		}
	})
}

func TestAPositionOlderThanTheHistoryBecomesAResync(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	cfg := patient
	cfg.buffer, cfg.history.Messages = 8, 8 // the gateway keeps no more
	s, p := newService(t, r.Addr(), cfg, echo), newNumbered(t, r.Addr(), "abc")
	cut := openStream(t, s.url+"/events")
	p.publish(1)
	cut.texts("abc", 1)
	want := p.publish(20)[12:]
	redistest.Eventually(t, func() bool { return s.hub.Stats().Received >= 21 }, "the messages")
	again := openStream(t, s.url+"/events", "Last-Event-ID", cut.id)
	if got, _ := again.next(""); got != string(resync) {
		t.Errorf("the stream begins with %s", got)
	}
	same(t, again.texts("abc", 8), want)
}

func TestEventsFromALossOfRedisComeWithoutAResync(t *testing.T) {
	t.Parallel()
	redistest.Require(t, "redis-server")
	process := redistest.Start(t) // elsewhere, other tests publish without a history
	proxy := redistest.StartProxy(t, process.Addr())
	s, p := newService(t, proxy.Addr(), patient, echo), newNumbered(t, process.Addr(), "abc")
	stream := openStream(t, s.url+"/events")
	want := p.publish(1)
	got := []string{textOf(t, first(stream.next("")))}
	proxy.Down()
	want = append(want, p.publish(10)...)
	proxy.Up()
	want = append(want, p.publish(10)...)
	for range 20 {
		got = append(got, textOf(t, first(stream.next("")))) // a resync has no text
	}
	same(t, got, want)
}

func first(data string, _ bool) string { return data }

func TestAnEventOfAnotherProgramIsPassedOnAsOneEventWithoutAnID(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	s := newService(t, r.Addr(), patient, echo)
	stream := openStream(t, s.url+"/events")
	const event = "{\r\n\"event\":\n\r\"x\",\"conversation_id\":\"a\\nid: 7\"}\n\n"
	if err := r.Client().Publish(t.Context(), updates.Channel, event).Err(); err != nil {
		t.Fatal(err)
	}
	if got, _ := stream.next(""); got != strings.NewReplacer("\r", " ", "\n", " ").Replace(event) || stream.id != "" {
		t.Errorf("the event is %q, with the id %q", got, stream.id)
	}
}

func TestAnEventStreamWithoutEventsSendsAlive(t *testing.T) {
	t.Parallel()
	cfg := patient
	cfg.pingAfter = time.Millisecond
	s := newService(t, redistest.Mini(t).Addr(), cfg, echo)
	stream := openStream(t, s.url+"/events")
	for range 3 {
		if got, _ := stream.next(""); got != string(alive) {
			t.Errorf("the event is %s", got)
		}
	}
}

func TestAnotherOriginGetsNoEventStream(t *testing.T) {
	t.Parallel()
	s := newService(t, redistest.Mini(t).Addr(), patient, echo)
	for _, fields := range [][]string{
		{"Origin", "https://elsewhere.example"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
	} {
		if a := s.do(t, "GET", "/events", "", fields...); a.status != http.StatusForbidden {
			t.Errorf("%v: status %d", fields, a.status)
		}
	}
	openStream(t, s.url+"/events", "Sec-Fetch-Site", "same-origin")
	openStream(t, s.url+"/events", "Origin", s.url)
}

func TestMoreEventStreamsThanAllowedAreRefused(t *testing.T) {
	t.Parallel()
	cfg := patient
	cfg.max = 1
	s := newService(t, redistest.Mini(t).Addr(), cfg, echo)
	only := openStream(t, s.url+"/events")
	if a := s.do(t, "GET", "/events", ""); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("the second: status %d, %v", a.status, a.header)
	}
	_ = only.close()
	redistest.Eventually(t, func() bool { return s.streams.count() == 0 }, "the first stream has ended")
	openStream(t, s.url+"/events")
}

func TestABrowserThatDoesNotReadItsEventStreamIsDisconnected(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	cfg := patient
	cfg.writeTimeout = 50 * time.Millisecond
	s := newService(t, r.Addr(), cfg, echo)
	openStream(t, s.url+"/events")
	for range 12 {
		publish(t, r.Client(), "abc", strings.Repeat("x", 1<<20))
	}
	s.emptied() // otherwise the test runs into its time-out
}

func TestTheServersTimeoutsDoNotEndAnEventStream(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	s, p := newService(t, r.Addr(), patient, echo), newNumbered(t, r.Addr(), "abc")
	const timeout = 100 * time.Millisecond
	front := httptest.NewUnstartedServer(s.Handler())
	front.Config.ReadTimeout, front.Config.WriteTimeout = timeout, timeout
	front.Start()
	t.Cleanup(front.Close)
	stream := openStream(t, front.URL+"/events")
	for began := time.Now(); time.Since(began) < 3*timeout; {
		want := p.publish(1)
		same(t, stream.texts("abc", 1), want)
	}
}

func TestCloseLetsEventStreamsReadWhatWasReceivedAndEndsThem(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	s, p := newService(t, r.Addr(), patient, echo), newNumbered(t, r.Addr(), "abc")
	stream := openStream(t, s.url+"/events")
	want := p.publish(50)
	redistest.Eventually(t, func() bool { return s.hub.Stats().Received >= 50 }, "the messages")
	ended := make(chan error, 1)
	go func() { ended <- s.Close() }()
	same(t, stream.texts("abc", 50), want)
	if data, more := stream.next(""); more || stream.lines.Err() != nil {
		t.Errorf("the stream ends with %q, %v; want its normal end", data, stream.lines.Err())
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if a := s.do(t, "GET", "/events", ""); a.status != http.StatusServiceUnavailable {
		t.Errorf("after Close: status %d", a.status)
	}
}

func TestASlowEventStreamDoesNotDelayClose(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	cfg := patient
	cfg.closeTimeout = 10 * time.Millisecond
	s := newService(t, r.Addr(), cfg, echo)
	openStream(t, s.url+"/events")
	for range 20 {
		publish(t, r.Client(), "abc", strings.Repeat("x", 1<<20))
	}
	if err := s.Close(); err != nil { // otherwise the test runs into its time-out
		t.Error(err)
	}
}
