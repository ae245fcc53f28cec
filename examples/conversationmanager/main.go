// Conversationmanager lists a speaker's conversations from an SQL database
// through a cache in Redis, and adds messages to them.
//
// It needs nothing but Go: without REDIS_URL or REDIS_ADDR in its environment
// it runs a Redis of its own, and its database is a file that it seeds.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/convkit/rediskit/cache"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "listen on this `host:port`; port 0 takes a free one")
	path := flag.String("db", defaultDatabase(), "keep the conversations in this SQLite `file`")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, *addr, *path, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "conversationmanager:", err)
		os.Exit(1)
	}
}

// defaultDatabase is a file that a second start finds again.
func defaultDatabase() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "rediskit", "conversations.db")
}

// run serves until ctx ends. The deferred calls close what it opened in the
// reverse order: HTTP server, cache, Redis client, database.
func run(ctx context.Context, addr, path string, out io.Writer) (err error) {
	closing := func(close func() error) { err = errors.Join(err, close()) }

	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is taken by another process; choose another address, such as -addr 127.0.0.1:0 (make demo ARGS=\"-addr 127.0.0.1:0\")", addr)
	}
	if err != nil {
		return err
	}
	defer listener.Close()

	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	db, err := openStore(ctx, path)
	if err != nil {
		return err
	}
	defer closing(db.Close)

	redis, err := connect(ctx)
	if err != nil {
		return err
	}
	defer closing(redis.Close)

	lists, err := cache.New[[]Conversation](redis.rdb, listsConfig)
	if err != nil {
		return err
	}
	defer closing(lists.Close)

	if err := welcome(ctx, out, db, listener.Addr(), path, redis.name); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { watch(ctx, out, lists.Stats) })
	defer watching.Wait()
	defer cancel()

	s := &server{db: db, rdb: redis.rdb, lists: lists}
	return serve(ctx, listener, s.routes())
}

// serve answers requests until ctx ends, then lets those under way finish.
func serve(ctx context.Context, listener net.Listener, h http.Handler) error {
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
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := srv.Shutdown(patience); err != nil {
		return errors.Join(fmt.Errorf("requests were cut off: %w", err), srv.Close())
	}
	return nil
}
