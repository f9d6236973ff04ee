package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/examples/internal/cli"
	"example.com/dispatch/examples/internal/words"
)

// run is the program. It writes each line of the table as soon as the line is known.
func run(ctx context.Context, args []string, std cli.Streams) error {
	opts, err := parseFlags(args, std)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.Out, "%s, %v of work a request: %.0f a second at best\n", words.Count(opts.workers, "worker"), opts.run, opts.capacity())
	fmt.Fprintf(std.Out, "%s come in a second, for %v\n", words.Count(opts.rate, "request"), opts.duration)
	fmt.Fprintf(std.Out, "an answer is in time within %v\n\n", opts.deadline)
	printRow(std.Out, "queue", "refused", "in time", "late", "p50", "p99")

	l := load{requests: opts.requests(), rate: opts.rate}
	for _, queue := range append([]int{noPool}, opts.queues...) {
		// If other programs use the machine too, its speed varies.
		svc, err := newService(ctx, opts.workers, opts.run)
		if err != nil {
			return err
		}
		name, send := strconv.Itoa(queue), l.sendToPool
		if queue == noPool {
			name, send = "no pool", l.sendDirectly
		}
		all, err := send(ctx, svc.serve, opts.workers, queue)
		if err != nil {
			return err
		}
		all.print(std.Out, name, opts.deadline)
	}
	fmt.Fprintf(std.Out, "\nlongest queue whose last request is in time:\nabout workers x (deadline / run - 1) = %d\n", opts.longestUseful())
	return nil
}

// noPool stands for the line of the table that is measured without a pool.
const noPool = -1

// sendDirectly serves each request on its own goroutine.
func (l load) sendDirectly(ctx context.Context, serve dispatch.Handler[struct{}, struct{}], _, _ int) (outcome, error) {
	return l.send(ctx, time.Now(), func(ctx context.Context) error {
		_, err := serve(ctx, struct{}{})
		return err
	})
}

// sendToPool sends the load to a new pool, which refuses requests when its queue is
// full.
func (l load) sendToPool(ctx context.Context, serve dispatch.Handler[struct{}, struct{}], workers, queue int) (outcome, error) {
	pool, err := dispatch.New(serve,
		dispatch.WithName("overload"),
		dispatch.WithWorkers(workers),
		dispatch.WithQueue(queue),
		dispatch.WithOverflow(dispatch.Reject),
	)
	if err != nil {
		return outcome{}, err
	}
	defer pool.Close()
	return l.send(ctx, time.Now(), func(ctx context.Context) error {
		_, err := pool.Process(ctx, struct{}{})
		return err
	})
}

// print writes the outcome as a line of the table. The quantiles cover the answered
// requests only; a refused client learns that at once.
func (o outcome) print(w io.Writer, queue string, deadline time.Duration) {
	inTime := o.inTime(deadline)
	printRow(w, queue, words.Number(o.refused), words.Number(inTime), words.Number(len(o.answers)-inTime),
		short(o.quantile(0.5)), short(o.quantile(0.99)))
}

// short formats d, which is below a minute, in at most five characters.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		d = d.Round(100 * time.Millisecond)
	case d >= time.Second:
		d = d.Round(10 * time.Millisecond)
	default:
		d = d.Round(time.Millisecond)
	}
	return d.String()
}

// printRow writes a line that fits into 40 columns.
func printRow(w io.Writer, queue, refused, inTime, late, p50, p99 string) {
	fmt.Fprintf(w, "%7s%8s%8s%5s%6s%6s\n", queue, refused, inTime, late, p50, p99)
}
