// Server draws tiles of the Mandelbrot set over HTTP, on a bounded number of
// workers.
//
//	go run ./examples/server                        # a show: it calls itself, then ends
//	go run ./examples/server -addr localhost:8080   # serves /tile?x=-0.5&y=0&zoom=1&depth=1000 until Ctrl-C
//
// It shows how a service protects itself from more work than it can do: a few
// requests run, a few more wait, and all others are turned away at once with
// 503 (Reject); a request that takes too long, waiting included, gets 504
// (ProcessTimed); a client that goes away takes its work with it; and at the
// end the accepted requests are answered before the program stops (Shutdown).
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
	"runtime"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait for the clients
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

// run is the whole program.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	fs := flag.NewFlagSet("server", flag.ContinueOnError)
	addr := fs.String("addr", "", "serve at this `address` until an interrupt (default: call itself and end)")
	workers := fs.Int("workers", runtime.GOMAXPROCS(0), "how `many` tiles are drawn at once")
	queue := fs.Int("queue", 4, "how `many` requests may wait")
	limit := fs.Duration("limit", 300*time.Millisecond, "longest `time` for a request, waiting included")
	if err := fs.Parse(args); err != nil {
		return err
	}
	svc, err := newService(drawTile, *workers, *queue, *limit)
	if err != nil {
		return err
	}
	defer svc.stop()
	if *addr == "" {
		return show(ctx, svc, stdout)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "serving http://%v/tile\n", l.Addr())
	return serve(ctx, l, svc, svc)
}

// serve serves h at l until ctx ends. Then it takes no more requests, answers
// those that it has taken, and shuts svc down.
func serve(ctx context.Context, l net.Listener, h http.Handler, svc *service) error {
	mux := http.NewServeMux()
	mux.Handle("GET /tile", h)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	budget, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	// First the door, then the workers: no request then meets a closed pool.
	// Clients that are still there when the budget is spent are cut off.
	err := srv.Shutdown(budget)
	if err != nil {
		srv.Close()
	}
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return errors.Join(err, svc.shutdown(budget))
}
