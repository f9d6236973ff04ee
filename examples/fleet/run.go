package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"example.com/dispatch"
	"example.com/dispatch/examples/internal/cli"
	"example.com/dispatch/examples/internal/live"
	"example.com/dispatch/examples/internal/modcache"
	"example.com/dispatch/examples/internal/progress"
	"example.com/dispatch/examples/internal/words"
	"example.com/dispatch/fleet"
	"example.com/dispatch/fleet/embedded"
)

// run is the program. It writes the report to std.Out and progress to std.Err.
func run(ctx context.Context, args []string, std cli.Streams) error {
	opts, err := parseFlags(args, std)
	if err != nil {
		return err
	}
	if opts.dir == "" {
		if opts.dir, err = modcache.Dir(ctx); err != nil {
			return err
		}
	}
	zips, err := modcache.Find(ctx, opts.dir)
	if err != nil {
		return err
	}
	if len(zips) == 0 {
		fmt.Fprintln(std.Out, "no module zips in", opts.dir)
		return nil
	}
	fmt.Fprintln(std.Out, "module cache:", opts.dir)

	dir, err := os.MkdirTemp("", "fleet")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// The server allows workers to take jobs, and nothing else.
	rights, password := checks.WorkerRights(), rand.Text()
	server, err := embedded.Start(embedded.Options{
		Dir: dir, Listen: "127.0.0.1:0",
		Users: []embedded.User{{Name: "worker", Password: password, Rights: &rights}},
	})
	if err != nil {
		return err
	}
	defer server.Close()
	nc, err := server.Connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := checks.Provision(ctx, nc, fleet.Settings{Lease: lease}); err != nil {
		return err
	}
	r := &fleetRun{options: opts, std: std, zips: zips, nc: nc}
	return r.run(ctx, orders{URL: server.URL(), User: "worker", Password: password, Places: opts.places})
}

// A fleetRun is one pass over the zips.
type fleetRun struct {
	options
	std  cli.Streams
	zips []modcache.Zip
	nc   *nats.Conn // of the caller

	outcomes  map[string]int // number of outcomes of each zip, by name
	bytesDone atomic.Int64   // of the zips that have an outcome
}

func (r *fleetRun) run(ctx context.Context, o orders) error {
	// A drain lets the calls under way finish, so the end of ctx does not cancel them.
	// The loss of the last worker does.
	calls, giveUp := context.WithCancelCause(context.WithoutCancel(ctx))
	defer giveUp(nil)
	client, err := fleet.NewClient(ctx, r.nc, checks)
	if err != nil {
		return err
	}
	defer client.Close()
	// Twice the number of places, so that a free worker finds the next job waiting.
	window := 2 * r.workers * r.places
	pool, err := dispatch.New(client.Call,
		dispatch.WithName("fleet"),
		dispatch.WithTelemetry(),
		dispatch.WithWorkers(window),
	)
	if err != nil {
		return err
	}
	defer pool.Close()
	if r.http != "" {
		page, err := live.Serve(ctx, r.http, pool)
		if err != nil {
			return err
		}
		defer page.Close()
		fmt.Fprintln(r.std.Out, "live page:", page.URL)
	}

	workers := &crew{begun: make(map[string]int), onLoss: giveUp}
	if r.chaos {
		workers.onBegin = r.killOne(workers)
	}
	defer workers.sendHome()
	for i := range r.workers {
		o.Name = fmt.Sprintf("worker-%d", i+1)
		if err := workers.hire(o, r.std.Err); err != nil {
			return fmt.Errorf("%s: %w", o.Name, err)
		}
	}
	start := time.Now()
	rep := r.check(ctx, calls, pool, window)
	elapsed := time.Since(start)
	r.settle(calls)
	workers.sendHome()

	rep.Print(r.std.Out, fmt.Sprintf("%s of %s", words.Count(r.workers, "worker"), words.Count(r.places, "place")), elapsed)
	workers.print(r.std.Out)
	switch {
	case rep.Done() < rep.Total && ctx.Err() != nil:
		return context.Cause(ctx)
	case calls.Err() != nil:
		return context.Cause(calls)
	}
	if err := errors.Join(r.audit(context.WithoutCancel(ctx)), rep.Err()); err != nil {
		return err
	}
	if r.http != "" {
		fmt.Fprintln(r.std.Err, "the live page stays until Ctrl-C")
		<-ctx.Done()
	}
	return nil
}

// check checks every zip on the workers. When ctx ends it hands out no more zips, and
// waits for those that are under way.
func (r *fleetRun) check(ctx, calls context.Context, pool *dispatch.Pool[modcache.Zip, string], window int) *modcache.Report {
	rep := &modcache.Report{Total: len(r.zips)}
	r.outcomes = make(map[string]int)
	prog := progress.New(r.std.Err, progress.Work{Label: "checked", Noun: "zip", Files: len(r.zips), Bytes: modcache.Bytes(r.zips)})
	defer prog.End()
	for res := range pool.Stream(calls, until(ctx, r.zips), dispatch.Unordered(), dispatch.LookAhead(window)) {
		if res.Index >= 0 && rep.Add(calls, res.In, res.Err) {
			r.outcomes[res.In.Name]++
			r.bytesDone.Add(res.In.Size)
			prog.Add(res.In.Size)
		}
	}
	return rep
}

// killOne returns a function that, once a tenth of the work is done, kills the worker
// that begins the next zip.
func (r *fleetRun) killOne(workers *crew) func(*worker) {
	var once sync.Once
	tenth := modcache.Bytes(r.zips) / 10
	return func(w *worker) {
		if r.bytesDone.Load() >= tenth {
			once.Do(func() { workers.kill(w) })
		}
	}
}

const (
	auditLimit  = 10 * time.Second      // how long the server may take to answer, and to have no job left
	settlePause = 50 * time.Millisecond // between two requests to the server
)

// settle waits until no job is left on the server, for as long as there are workers. A
// job whose worker was killed after its answer had arrived is left there until its
// lease has ended and another worker has taken it. The audit reports jobs that are
// left in the end.
func (r *fleetRun) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, auditLimit)
	defer cancel()
	for ctx.Err() == nil {
		if left, err := checks.Stats(ctx, r.nc); err != nil || left.Waiting+left.Taken == 0 {
			return
		}
		select {
		case <-time.After(settlePause):
		case <-ctx.Done():
		}
	}
}

// audit checks that every zip has had exactly one outcome and that the server has no
// job left.
func (r *fleetRun) audit(ctx context.Context) error {
	var faults []error
	for _, z := range r.zips {
		if n := r.outcomes[z.Name]; n != 1 {
			faults = append(faults, fmt.Errorf("%s has had %s", z.Name, words.Count(n, "outcome")))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, auditLimit)
	defer cancel()
	left, err := checks.Stats(ctx, r.nc)
	if err != nil {
		return err
	}
	if left.Waiting+left.Taken+left.Dead > 0 {
		faults = append(faults, fmt.Errorf("the server still has %d jobs that wait, %d that are taken and %d dead letters", left.Waiting, left.Taken, left.Dead))
	}
	if len(faults) == 0 {
		fmt.Fprintf(r.std.Out, "nothing was lost: %s with one outcome each, no job is left on the server\n", words.Count(len(r.zips), "zip"))
	}
	return errors.Join(faults...)
}

// until yields items until ctx ends.
func until[T any](ctx context.Context, items []T) iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, item := range items {
			if ctx.Err() != nil || !yield(item) {
				return
			}
		}
	}
}
