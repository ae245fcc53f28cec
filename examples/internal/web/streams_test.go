package web

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/convkit/rediskit/examples/internal/exampletest"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/pubsub"
)

// events streams what hub receives as server-sent events, until hub ends or the
// client goes away.
func events(hub *pubsub.Hub[string]) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sub := hub.Subscribe()
		defer sub.Close()
		out := http.NewResponseController(w)
		_ = out.SetWriteDeadline(time.Time{}) // the server's time-out is for short answers
		w.Header().Set("Content-Type", "text/event-stream")
		_ = out.Flush()
		for m, err := range sub.All(r.Context()) {
			if err != nil {
				return
			}
			fmt.Fprintf(w, "data: %s\n\n", m.Value)
			_ = out.Flush()
		}
	}
}

// A server that waits for its requests before the hub ends waits for an event
// stream until the time-out, and then cuts the stream off.
func TestShutdownEndsAnOpenEventStreamBeforeItsTimeOut(t *testing.T) {
	t.Parallel()
	topic, err := pubsub.NewTopic[string](exampletest.Dial(t, redistest.Mini(t).Addr()), "updates", pubsub.Config{})
	if err != nil {
		t.Fatal(err)
	}
	hub, err := topic.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	ctx, stop := context.WithCancel(t.Context())
	listener, err := Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, listener, events(hub), func() error { return hub.Shutdown(context.WithoutCancel(ctx)) })
	}()

	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	res, err := client.Get("http://" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := topic.Publish(t.Context(), "hello"); err != nil {
		t.Fatal(err)
	}
	stream := bufio.NewScanner(res.Body)
	if !stream.Scan() || stream.Text() != "data: hello" {
		t.Fatalf("the stream begins with %q, %v", stream.Text(), stream.Err())
	}
	stop()
	var rest strings.Builder
	for stream.Scan() {
		rest.WriteString(stream.Text())
	}
	if err := stream.Err(); err != nil || rest.Len() > 0 {
		t.Errorf("the stream ends with %q, %v; want its normal end", rest.String(), err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the server ended with %v; want no error", err)
	}
}
