// Server draws tiles of the Mandelbrot set over HTTP, on a bounded number of
// workers.
//
//	go run ./examples/server                        # a show: it calls itself, then ends
//	go run ./examples/server -addr localhost:8080   # serves until Ctrl-C; open http://localhost:8080/
//
// It shows how a service protects itself from more work than it can do. A few
// requests run, a few more wait, and all others are refused at once with 503 and a
// Retry-After header (Reject). A request that takes too long, waiting included, gets
// 504 (ProcessTimed). When a client goes away, its job is canceled. After Ctrl-C or
// SIGTERM the server answers the accepted requests before it stops (Shutdown).
//
// It serves
//
//	/                                      a picture to zoom into: each tile is a job
//	/tile?x=-0.5&y=0&zoom=1&depth=1000     a tile
//	/debug/dispatch/                       the live page of the pool
//	/debug/vars                            the variables of package expvar, with the pool's Stats
//	/metrics                               the same Stats for Prometheus
//
// and logs the tiles that were not drawn, or all tiles with -v. The clients of the
// show are those of the vegeta library.
//
// The exit status is
//
//	0         the show is over, or the server was ended and all accepted requests were answered
//	1         something failed
//	2         the command line is wrong
//	130, 143  the show was ended by Ctrl-C, by SIGTERM
package main

import (
	"context"
	"errors"
	"expvar"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"example.com/dispatch/examples/internal/cli"
	"example.com/dispatch/page"
	"example.com/dispatch/promdispatch"
)

func main() {
	cli.Main("server", run)
}

const synopsis = `Usage: server [-addr ADDRESS] [-workers N] [-queue N] [-limit TIME] [-v]
              [-rate N]

Draws tiles of the Mandelbrot set over HTTP, on a bounded number of workers.
Without -addr it calls itself, shows what comes of it, and ends.`

// run is the program. It writes results to std.Out and log lines to std.Err.
func run(ctx context.Context, args []string, std cli.Streams) error {
	var (
		addr    string
		verbose bool
	)
	workers, queue, limit, rate := runtime.GOMAXPROCS(0), 4, 300*time.Millisecond, 200
	flags := cli.NewFlags("server", synopsis)
	flags.Address(&addr, "addr", "serve at this `address` until Ctrl-C")
	flags.Count(&workers, 1, "workers", "how `many` tiles are drawn at once; the default is one per processor")
	flags.Count(&queue, 0, "queue", "how `many` requests may wait")
	flags.Time(&limit, "limit", "longest `time` for a request, waiting included")
	flags.BoolVar(&verbose, "v", false, "log every tile")
	flags.Count(&rate, 1, "rate", "how `many` requests per second the show makes, without -addr")
	if err := flags.Parse(args, std); err != nil {
		return err
	}
	svc, err := newService(drawTile, workers, queue, limit, newLogger(std.Err, verbose))
	if err != nil {
		return err
	}
	defer svc.stop()
	if addr == "" {
		return show(ctx, svc, rate, std.Out)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	expvar.Publish("pool", expvar.Func(func() any { return svc.pool.Stats() })) // may be called only once per process
	fmt.Fprintf(std.Out, "serving http://%v/\n", l.Addr())
	err = serve(ctx, l, svc, svc)
	fmt.Fprintln(std.Out, svc.summary())
	return err
}

// routes returns a handler that serves tiles and the pages about them.
func routes(tiles http.Handler, svc *service) http.Handler {
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(promdispatch.NewCollector(svc.pool))
	mux := http.NewServeMux()
	mux.Handle("GET /tile", tiles)
	mux.HandleFunc("GET /{$}", serveIndex)
	mux.Handle("/debug/dispatch/", page.New(svc.pool))
	mux.Handle("GET /debug/vars", expvar.Handler())
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	return mux
}

// serve serves on l until ctx ends. Then it accepts no more requests, answers those
// that it has accepted, and shuts svc down.
func serve(ctx context.Context, l net.Listener, tiles http.Handler, svc *service) error {
	srv := &http.Server{Handler: routes(tiles, svc), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	stats := svc.pool.Stats()
	svc.log.Info("shutting down", "cause", context.Cause(ctx), "running", stats.Running, "queued", stats.Queued)
	budget, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	// Shut down the HTTP server before the pool, so that no request meets a closed
	// pool. Clients that still wait when the budget is spent are cut off.
	err := srv.Shutdown(budget)
	if err != nil {
		srv.Close()
	}
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return errors.Join(err, svc.shutdown(budget))
}
