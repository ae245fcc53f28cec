package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Main runs a program until it ends, is interrupted (SIGINT) or is terminated
// (SIGTERM). It exits with status 1 if run returns an error. A second signal ends
// the process at once.
func Main(name string, run func(context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// Listen listens on addr, a host:port. With port 0 the system chooses a free port.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is taken by another process; choose another address, such as -addr 127.0.0.1:0 (make demo ARGS=\"-addr 127.0.0.1:0\")", addr)
	}
	return listener, err
}

// shutdownTimeout is how long Serve waits for the requests that are being handled.
const shutdownTimeout = 10 * time.Second

// Serve answers requests until ctx ends. Then it calls closeStreams, one after
// another, and waits up to shutdownTimeout for the requests that are being handled.
//
// closeStreams end the event streams that h serves, usually by shutting down a Hub.
// They come first because an event stream is a request that lasts until its
// subscription ends: a server that waits for it waits until its time-out.
func Serve(ctx context.Context, listener net.Listener, h http.Handler, closeStreams ...func() error) error {
	if at, ok := listener.Addr().(*net.TCPAddr); ok && at.IP.IsLoopback() {
		h = local(h)
	}
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 2 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	var errs []error
	for _, closeStream := range closeStreams {
		errs = append(errs, closeStream())
	}
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(deadline); err != nil {
		errs = append(errs, fmt.Errorf("requests were cut off: %w", err), srv.Close())
	}
	return errors.Join(errs...)
}
